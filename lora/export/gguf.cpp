// Exports the merged model as one GGUF file, for llama.cpp and tools based on it.

#include <ATen/ATen.h>

#include "lora/adapters/merged.h"
#include "lora/export/export.h"
#include "lora/export/gguf_architecture.h"
#include "lora/export/gguf_model.h"
#include "lora/export/gguf_types.h"
#include "lora/export/gguf_vocabulary.h"
#include "lora/export/trained_chat.h"
#include "lora/export/verify.h"

namespace lora {
namespace {

// llama.cpp needs float32 for norms and biases.
GgmlType type_of(const LazyTensor& tensor, GgmlType requested) {
  if (tensor.shape.size() < 2) return GgmlType::kF32;
  return tensor.shape.back() % ggml_block(requested) == 0 ? requested : GgmlType::kF16;
}

std::vector<GgufTensor> gguf_tensors(const LlamaForCausalLM& model, GgmlType requested) {
  const ModelConfig& config = model.config();
  std::vector<GgufTensor> tensors;
  if (const at::Tensor divisors = gguf_rope_divisors(config); divisors.defined()) {
    tensors.push_back(
        {{"rope_freqs.weight", at::kFloat, divisors.sizes().vec(), [=] { return divisors; }}, GgmlType::kF32});
  }
  for (const LazyTensor& tensor : merged_tensors(model)) {
    const double offset = gguf_offset(config, tensor.name);
    const auto make = [tensor, offset, &config] {
      const at::Tensor rows = to_gguf_rows(config, tensor.name, tensor.make());
      return offset == 0 ? rows : rows.to(at::kFloat) + offset;
    };
    const at::ScalarType dtype = offset == 0 ? tensor.dtype : at::kFloat;
    tensors.push_back({{gguf_name(config, tensor.name), dtype, tensor.shape, make}, type_of(tensor, requested)});
  }
  return tensors;
}

// The relative bound: rounding every weight to the number format, plus the bound of the merge.
double bound(GgmlType type, const LlamaForCausalLM& model) {
  const double merged = merged_bound(model);
  switch (type) {
    case GgmlType::kF32:
      return merged;
    case GgmlType::kF16:
      return std::max(merged, 0.01);
    case GgmlType::kBF16:
    case GgmlType::kQ8_0:
      return std::max(merged, 0.1);
  }
  return merged;
}

// "27 tensors as Q8_0, 11 as F32"
std::string counts(const std::vector<GgufTensor>& tensors) {
  std::string text;
  for (const GgmlType type : {GgmlType::kQ8_0, GgmlType::kBF16, GgmlType::kF16, GgmlType::kF32}) {
    const auto count = std::ranges::count_if(tensors, [&](const GgufTensor& tensor) { return tensor.type == type; });
    if (count == 0) continue;
    text += text.empty() ? std::to_string(count) + " tensors as " : ", " + std::to_string(count) + " as ";
    text += ggml_name(type);
  }
  return text;
}

void check_gguf(const ExportSource& source) {
  const ModelConfig& config = source.model().config();
  gguf_architecture(config);
  gguf_vocabulary(source.tokenizer_directory(), source.tokenizer, config, exported_templates(source),
                  turn_ends(source));
}

std::string write_gguf_model(const ExportSource& source, const std::filesystem::path& output) {
  const ModelConfig& config = source.model().config();
  const GgufArchitecture architecture = gguf_architecture(config);
  const GgmlType type = gguf_type(source.options.outtype, source.model().dtype());
  GgufMetadata metadata = gguf_head(architecture, "model", source.model_directory, type);
  for (auto& number : gguf_numbers(config)) metadata.push_back(std::move(number));
  for (auto& item : gguf_vocabulary(source.tokenizer_directory(), source.tokenizer, config, exported_templates(source),
                                    turn_ends(source))) {
    metadata.push_back(std::move(item));
  }
  std::vector<GgufTensor> tensors = gguf_tensors(source.model(), type);
  std::vector<LazyTensor*> all;
  for (GgufTensor& tensor : tensors) all.push_back(&tensor.source);
  count_bytes(all, source);
  std::string line;
  write_file(output, [&](const std::filesystem::path& file) {
    write_gguf(file, metadata, tensors);
    const auto written = load_gguf(file, source.model());
    written->eval();
    line = verify_logits(
        source, [&](const at::Tensor& ids) { return written->forward(ids); }, bound(type, source.model()),
        bound(type, source.model()) > merged_bound(source.model()) ? std::string(ggml_name(type))
                                                                   : merged_rounding(source.model()));
  });
  return counts(tensors) + (source.adapted.trainable_parameters > 0 ? ", adapters merged; " : "; ") + line +
         chat_line(source);
}

}  // namespace

// The numbers of the matrices are in the name for a recipe's list; `outtype` auto leaves them to the options.
ExportFormat gguf_format(const std::string& outtype) {
  if (outtype == "auto") {
    return {.name = "gguf",
            .default_name = "model.gguf",
            .write = write_gguf_model,
            .check = check_gguf,
            .outtypes = {"auto", "f32", "f16", "bf16", "q8_0"},
            .elsewhere = {"llama.cpp"}};
  }
  const auto write = [outtype](const ExportSource& source, const std::filesystem::path& output) {
    ExportSource chosen = source;
    chosen.options.outtype = outtype;
    return write_gguf_model(chosen, output);
  };
  return {.name = "gguf-" + outtype,
          .default_name = "model-" + outtype + ".gguf",
          .write = write,
          .check = check_gguf,
          .elsewhere = {outtype}};
}

}  // namespace lora
