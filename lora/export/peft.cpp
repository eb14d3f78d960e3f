// The adapter alone, in the files that PEFT writes.

#include "lora/adapters/peft.h"

#include "lora/adapters/inject.h"
#include "lora/adapters/registry.h"
#include "lora/export/export.h"
#include "lora/export/trained_chat.h"
#include "lora/export/verify.h"
#include "models/base/atomic_file.h"

namespace lora {
namespace {

// Loads the directory onto the base, as a run that starts from it does, and compares.
std::string verify_adapter(const ExportSource& source, const std::filesystem::path& directory) {
  const auto written = bare_twin(source.model());
  AdapterConfig config = read_peft_config(directory).config;
  config.init_from = directory.string();
  inject(written, config, /*seed=*/0, /*fresh=*/false);
  written->eval();
  return verify_logits(
      source, [&](const at::Tensor& ids) { return written->forward(ids); }, merged_bound(source.model()),
      merged_rounding(source.model()));
}

std::string write_form(const ExportSource& source, const AdaptedModel& form, const std::filesystem::path& output) {
  std::string line;
  expect_new_rows_trained(form);
  write_directory(output, source.model_directory, [&](const std::filesystem::path& directory) {
    // With the tokens that the rows are of, to which PEFT's model is to be resized; and with the chat template.
    if (source.chat || source.tokenizer_directory() != source.model_directory) {
      for (const auto& file : source.tokenizer_files) {
        std::filesystem::copy_file(file, directory / file.filename());
        sync_file(directory / file.filename());
      }
      write_chat_template(source, directory);
    }
    write_peft(directory, form, std::filesystem::absolute(source.model_directory).lexically_normal().string());
    line = verify_adapter(source, directory);
  });
  const size_t layers = form.modules.size() + (form.embedding ? 1 : 0);
  return std::to_string(layers) + " adapted layers; " + line + chat_line(source);
}

std::string write_trained(const ExportSource& source, const std::filesystem::path& output) {
  const Method& method = find_method(source.adapted.config.method);
  return write_form(source, method.finished ? method.finished(source.adapted) : source.adapted, output);
}

std::string write_as_lora(const ExportSource& source, const std::filesystem::path& output) {
  return write_form(source, find_method(source.adapted.config.method).as_lora(source.adapted), output);
}

}  // namespace

ExportFormat peft_format() {
  return {.name = "peft",
          .default_name = "adapter",
          .write = write_trained,
          .refuses = [](const AdapterConfig& config) -> std::string {
            const Method& method = find_method(config.method);
            return method.trains_network
                       ? "method " + method.name + " has no adapter; huggingface writes the whole model"
                       : "";
          },
          .merges = false,
          .is_directory = true};
}

// AdaLoRA's adapter as a plain LoRA one.
ExportFormat lora_format() {
  return {.name = "lora",
          .default_name = "adapter-lora",
          .write = write_as_lora,
          .refuses = [](const AdapterConfig& config) -> std::string {
            if (find_method(config.method).as_lora) return "";
            return "makes a LoRA adapter of an AdaLoRA one; expected peft with method " + config.method;
          },
          .merges = false,
          .is_directory = true};
}

}  // namespace lora
