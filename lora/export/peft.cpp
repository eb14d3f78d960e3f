// The adapter alone, as PEFT saves one.

#include "lora/adapters/peft.h"

#include "lora/adapters/inject.h"
#include "lora/adapters/registry.h"
#include "lora/export/export.h"
#include "lora/export/verify.h"
#include "models/base/error.h"

namespace lora {

namespace {

// Reads the directory onto the base as anyone would who goes on from it.
std::string verify_adapter(const ExportSource& source, const std::filesystem::path& directory) {
  const auto written = bare_twin(source.model());
  AdapterConfig config = read_peft_config(directory).config;
  config.init_from = directory.string();
  inject(written, config, /*seed=*/0, /*fresh=*/false);
  written->eval();
  return verify_logits(
      source, [&](const at::Tensor& ids) { return written->forward(ids); }, merged_bound(source.model()));
}

std::string write_form(const ExportSource& source, const AdaptedModel& form, const std::filesystem::path& output) {
  std::string line;
  write_directory(output, [&](const std::filesystem::path& directory) {
    write_peft(directory, form, std::filesystem::absolute(source.model_directory).lexically_normal().string());
    line = verify_adapter(source, directory);
  });
  const size_t layers = form.modules.size() + (form.embedding ? 1 : 0);
  return std::to_string(layers) + " adapted layers; " + line;
}

}  // namespace

void check_peft(const ExportSource& source) {
  if (!find_method(source.adapted.config.method).trains_network) return;
  throw Error(ExitCode::kRecipe, "export",
              "peft: method '" + source.adapted.config.method +
                  "' trains no adapter; export huggingface or torchscript instead");
}

std::string export_peft(const ExportSource& source, const std::filesystem::path& output) {
  check_peft(source);
  const Method& method = find_method(source.adapted.config.method);
  return write_form(source, method.finished ? method.finished(source.adapted) : source.adapted, output);
}

void check_lora(const ExportSource& source) {
  if (find_method(source.adapted.config.method).as_lora) return;
  throw ExportError("lora: makes a LoRA adapter of an AdaLoRA one, and the method here is '" +
                    source.adapted.config.method + "'; expected the format peft");
}

std::string export_lora(const ExportSource& source, const std::filesystem::path& output) {
  check_lora(source);
  return write_form(source, find_method(source.adapted.config.method).as_lora(source.adapted), output);
}

}  // namespace lora
