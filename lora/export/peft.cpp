// The adapter alone, in the files that PEFT writes.

#include "lora/adapters/peft.h"

#include "lora/adapters/method.h"
#include "lora/adapters/methods/adalora_peft.h"
#include "lora/export/export.h"
#include "lora/export/verify.h"

namespace lora {
namespace {

// Loads the directory onto the base, as a run that starts from it does, and compares.
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

std::string write_trained(const ExportSource& source, const std::filesystem::path& output) {
  const Method& method = methods().at(source.adapter.method);
  return write_form(source,
                    method.finished ? method.finished(source.adaptation, source.adapter)
                                    : AdapterForm{source.adaptation, source.adapter},
                    output);
}

std::string write_as_lora(const ExportSource& source, const std::filesystem::path& output) {
  return write_form(source, adalora_as_lora(source.adaptation, source.adapter), output);
}

}  // namespace

ExportFormat peft_format() {
  return {.name = "peft",
          .default_name = "adapter",
          .write = write_trained,
          .refuses = [](const AdapterConfig& config) -> std::string {
            return config.method == "full" ? "method full has no adapter; huggingface writes the whole model" : "";
          },
          .merges = false};
}

// AdaLoRA's adapter as a plain LoRA one.
ExportFormat lora_format() {
  return {.name = "lora",
          .default_name = "adapter-lora",
          .write = write_as_lora,
          .refuses = [](const AdapterConfig& config) -> std::string {
            if (config.method == "adalora") return "";
            return "makes a LoRA adapter of an AdaLoRA one; expected peft with method " + config.method;
          },
          .merges = false};
}

}  // namespace lora
