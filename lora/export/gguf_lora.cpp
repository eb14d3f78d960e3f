// The adapter alone as GGUF, for llama.cpp's --lora. W + s·B·A there has s = adapter.lora.alpha / rank, one alpha a
// file.

#include <ATen/ATen.h>

#include <algorithm>

#include "lora/adapters/methods/lora.h"
#include "lora/adapters/registry.h"
#include "lora/export/export.h"
#include "lora/export/gguf_architecture.h"
#include "lora/export/gguf_types.h"
#include "lora/export/verify.h"
#include "models/base/error.h"

namespace lora {
namespace {

struct Pair {
  std::string path;  // of the adapted layer
  at::Tensor a, b;   // (r, in), (out, r) float32
  double alpha;      // that its s is, over r
};

std::vector<Pair> pairs_of(const AdaptedModel& form) {
  std::vector<Pair> pairs;
  for (const AdaptedModule& module : form.modules) {
    const auto update = module.layer->update();
    if (!update) {
      const std::string what = form.config.lora_bias ? "lora_bias" : "method '" + form.config.method + "'";
      throw ExportError("gguf-lora: " + what + " is more than a product of two matrices, which llama.cpp adds to a " +
                        "weight; merge first: lora-export --format gguf");
    }
    pairs.push_back({module.path, update->a, update->b, update->scaling * static_cast<double>(update->a.size(0))});
  }
  return pairs;
}

// What llama.cpp has no place for.
void expect_pairs_alone(const ExportSource& source) {
  const AdaptedModel& adapted = source.adapted;
  for (const std::string& path : adapted.saved_modules) {
    throw ExportError("gguf-lora: '" + path +
                      "' is trained whole (modules_to_save), and a GGUF adapter has no place for it; merge first: "
                      "lora-export --format gguf");
  }
  if (adapted.embedding) {
    throw ExportError(
        "gguf-lora: 'model.embed_tokens' is adapted, which is not written into a GGUF adapter; merge first: "
        "lora-export --format "
        "gguf");
  }
  if (!adapted.biases.empty()) {
    throw ExportError("gguf-lora: biases are trained (bias: " + name_of(source.adapted.config.bias) +
                      "), and a GGUF adapter has no place for them; merge first: "
                      "lora-export --format gguf");
  }
  if (adapted.modules.empty()) throw ExportError("gguf-lora: no adapted layer; merge first: lora-export --format gguf");
  const bool tied = read_model_config(source.model_directory).tie_word_embeddings;
  for (const AdaptedModule& module : adapted.modules) {
    if (tied && module.path == "lm_head") {
      throw ExportError(
          "gguf-lora: 'lm_head' is tied to embed_tokens, and llama.cpp knows no adapter of it; merge first: "
          "lora-export --format "
          "gguf");
    }
  }
}

// The base with the pairs of the file.
std::shared_ptr<LlamaForCausalLM> load_adapted(const GgufFile& file, const LlamaForCausalLM& model,
                                               const std::vector<Pair>& pairs) {
  const auto twin = bare_twin(model);
  AdapterConfig config;
  config.alpha = file.value<float>("adapter.lora.alpha");
  for (const Pair& pair : pairs) {
    const std::string weight = pair.path + ".weight", name = gguf_name(model.config(), weight);
    const at::Tensor a = file.tensor(name + ".lora_a");
    const at::Tensor b = from_gguf_rows(model.config(), weight, file.tensor(name + ".lora_b"));
    const auto layer = std::make_shared<LoraLinear>(linear_at(*twin, pair.path),
                                                    LayerOptions{config, a.size(0), config.alpha, 0, /*fresh=*/false});
    layer->load_peft_tensors({a, b});
    twin->replace(pair.path, layer);
  }
  return twin;
}

AdaptedModel plain_form(const ExportSource& source) {
  const Method& method = find_method(source.adapted.config.method);
  return method.as_lora ? method.as_lora(source.adapted) : source.adapted;
}

void check_gguf_lora(const ExportSource& source) {
  gguf_architecture(source.model().config());
  expect_pairs_alone(source);
  pairs_of(plain_form(source));
}

std::string write_gguf_lora(const ExportSource& source, const std::filesystem::path& output) {
  const ModelConfig& config = source.model().config();
  const GgufArchitecture architecture = gguf_architecture(config);
  expect_pairs_alone(source);
  const GgmlType type = gguf_type(source.options.outtype, at::kFloat);
  const std::vector<Pair> pairs = pairs_of(plain_form(source));
  // Modules of another s·r than the first have the rest of it in their B.
  const double alpha = pairs.front().alpha != 0 ? pairs.front().alpha : 1;
  GgufMetadata metadata = gguf_head(architecture, "adapter", source.model_directory, type);
  metadata.emplace_back("adapter.type", "lora");
  metadata.emplace_back("adapter.lora.alpha", static_cast<float>(alpha));
  std::vector<GgufTensor> tensors;
  for (const Pair& pair : pairs) {
    const std::string weight = pair.path + ".weight", name = gguf_name(config, weight);
    const auto b = [pair, weight, alpha, &config] {
      const at::Tensor rows = to_gguf_rows(config, weight, pair.b);
      return pair.alpha == alpha ? rows : rows * (pair.alpha / alpha);
    };
    tensors.push_back(
        {{name + ".lora_a", pair.a.scalar_type(), pair.a.sizes().vec(), [pair] { return pair.a; }}, type});
    tensors.push_back({{name + ".lora_b", pair.b.scalar_type(), pair.b.sizes().vec(), b}, type});
  }
  std::string line;
  write_file(output, [&](const std::filesystem::path& file) {
    write_gguf(file, metadata, tensors);
    const auto written = load_adapted(GgufFile(file), source.model(), pairs);
    written->eval();
    const double bound = type == GgmlType::kBF16 ? 0.1 : type == GgmlType::kF16 ? 0.01 : 1e-4;
    line = verify_logits(
        source, [&](const at::Tensor& ids) { return written->forward(ids); },
        std::max(bound, merged_bound(source.model())),
        bound > merged_bound(source.model()) ? std::string(ggml_name(type)) : merged_rounding(source.model()));
  });
  return std::to_string(pairs.size()) + " adapted layers as " + std::string(ggml_name(type)) + "; " + line;
}

}  // namespace

ExportFormat gguf_lora_format() {
  return {.name = "gguf-lora",
          .default_name = "adapter.gguf",
          .write = write_gguf_lora,
          .check = check_gguf_lora,
          .refuses = [](const AdapterConfig& config) -> std::string {
            const Method& method = find_method(config.method);
            return method.trains_network ? "method " + method.name + " has no adapter; gguf writes the whole model"
                                         : "";
          },
          .merges = false,
          .outtypes = {"auto", "f32", "f16", "bf16"}};
}

}  // namespace lora
