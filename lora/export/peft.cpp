// The adapter alone, as PEFT saves one.

#include "lora/adapters/peft.h"

#include "lora/adapters/method.h"
#include "lora/adapters/methods/adalora_peft.h"
#include "lora/export/export.h"
#include "lora/export/verify.h"
#include "models/base/error.h"

namespace lora {

namespace {

// Reads the directory onto the base as anyone would who goes on from it.
std::string verify_adapter(const ExportSource& source, const std::filesystem::path& directory) {
  const auto written = bare_twin(source.model);
  AdapterConfig config = read_peft_config(directory).config;
  config.init_from = directory.string();
  inject(*written, config, /*seed=*/0, /*fresh=*/false);
  written->eval();
  return verify_logits(
      source, [&](const at::Tensor& ids) { return written->forward(ids); }, merged_bound(source.model));
}

std::string write_form(const ExportSource& source, const AdapterForm& form, const std::filesystem::path& output) {
  std::string line;
  write_directory(output, [&](const std::filesystem::path& directory) {
    write_peft(directory, source.model, form.adaptation, form.config,
               std::filesystem::absolute(source.model_directory).lexically_normal().string());
    line = verify_adapter(source, directory);
  });
  const size_t layers = form.adaptation.modules.size() + (form.adaptation.embedding ? 1 : 0);
  return std::to_string(layers) + " adapted layers; " + line;
}

}  // namespace

void check_peft(const ExportSource& source) {
  if (!source.adaptation.whole_network) return;
  throw Error(
      ExitCode::kRecipe, "export",
      "peft: method '" + source.adapter.method + "' trains no adapter; export huggingface or torchscript instead");
}

std::string export_peft(const ExportSource& source, const std::filesystem::path& output) {
  check_peft(source);
  const Method& method = methods().at(source.adapter.method);
  return write_form(source,
                    method.finished ? method.finished(source.adaptation, source.adapter)
                                    : AdapterForm{source.adaptation, source.adapter},
                    output);
}

void check_lora(const ExportSource& source) {
  if (source.adapter.method == "adalora") return;
  throw ExportError("lora: makes a LoRA adapter of an AdaLoRA one, and the method here is '" + source.adapter.method +
                    "'; wanted the format peft");
}

std::string export_lora(const ExportSource& source, const std::filesystem::path& output) {
  check_lora(source);
  return write_form(source, adalora_as_lora(source.adaptation, source.adapter), output);
}

}  // namespace lora
