// The adapter alone, as PEFT saves one.

#include "lora/adapters/peft.h"

#include "lora/export/export.h"
#include "models/error.h"

namespace lora {

std::string export_peft(const ExportSource& source, const std::filesystem::path& output) {
  if (source.adaptation.modules.empty()) {
    throw Error(
        ExitCode::kRecipe, "export",
        "peft: method '" + source.adapter.method + "' trains no adapter; export huggingface or torchscript instead");
  }
  write_directory(output, [&](const std::filesystem::path& directory) {
    write_peft(directory, source.model, source.adaptation, source.adapter,
               std::filesystem::absolute(source.model_directory).lexically_normal().string());
  });
  return std::to_string(source.adaptation.modules.size()) + " adapted layers";
}

}  // namespace lora
