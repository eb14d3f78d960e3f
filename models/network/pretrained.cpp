#include "models/network/pretrained.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "models/base/error.h"
#include "models/io/safetensors.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

at::ScalarType compute_dtype(const std::string& wanted, const ModelConfig& config) {
  const std::string name = wanted == "auto" ? config.dtype : wanted;
  // All float8 values are bfloat16 ones too.
  if (name == "bfloat16" || (wanted == "auto" && name.starts_with("float8_"))) return at::kBFloat16;
  if (name == "float32" || name == "float16") return at::kFloat;
  throw ModelError("dtype '" + name + "' is not supported; expected one of " + joined(dtype_names().known));
}

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

// The files of a directory as one set of named tensors, which are ticked off as they are taken.
class PretrainedWeights {
 public:
  explicit PretrainedWeights(const fs::path& directory) : directory_(directory) {
    const fs::path single = directory / kSingleFile, index = directory / kIndexFile;
    if (fs::exists(index)) {
      open_index(index);
    } else if (fs::exists(single)) {
      open(single);
    } else {
      throw ModelError(directory.string() + ": no model.safetensors and no model.safetensors.index.json" +
                       (fs::exists(directory / "pytorch_model.bin")
                            ? "; pytorch_model.bin is a pickle and is not read: save the model with safetensors"
                            : ""));
    }
  }

  at::Tensor take(const std::string& name, at::IntArrayRef shape) {
    const auto found = files_of_.find(name);
    if (found == files_of_.end()) {
      throw ModelError(directory_.string() + ": tensor '" + name + "' " + shape_text(shape) + " is missing");
    }
    const at::Tensor tensor = found->second->tensor(name);
    if (tensor.sizes() != shape) {
      throw ModelError(found->second->path().string() + ": tensor '" + name + "' is " + shape_text(tensor.sizes()) +
                       "; config.json wants " + shape_text(shape));
    }
    if (!tensor.is_floating_point()) {
      throw ModelError(found->second->path().string() + ": tensor '" + name + "' holds " +
                       c10::toString(tensor.scalar_type()) + "; expected F32, F16, BF16 or F8");
    }
    taken_.insert(name);
    return tensor;
  }

  void release(const std::string& name) const {
    const auto found = files_of_.find(name);
    if (found != files_of_.end()) found->second->release(name);
  }

  void expect_all_taken(bool ignore_lm_head) const {
    std::string extra;
    for (const auto& [name, file] : files_of_) {
      const bool buffer = name.ends_with(".rotary_emb.inv_freq");
      if (taken_.contains(name) || buffer || (ignore_lm_head && name == "lm_head.weight")) continue;
      extra += (extra.empty() ? "'" : ", '") + name + "'";
    }
    if (!extra.empty()) {
      throw ModelError(directory_.string() + ": tensors that config.json has no place for: " + extra);
    }
  }

 private:
  void open(const fs::path& path) {
    auto file = std::make_shared<SafetensorsFile>(path);
    for (const auto& [name, entry] : file->entries()) {
      if (!files_of_.emplace(name, file).second) {
        throw ModelError(path.string() + ": tensor '" + name + "' stands in two files");
      }
    }
  }

  void open_index(const fs::path& index) {
    std::set<std::string> names;
    try {
      std::ifstream in(index, std::ios::binary);
      const json content = json::parse(in);
      for (const auto& item : content.at("weight_map").items()) names.insert(item.value().get<std::string>());
    } catch (const json::exception& e) {
      throw ModelError(index.string() + ": expected an object with a 'weight_map': " + e.what());
    }
    for (const std::string& name : names) {
      if (name.find('/') != std::string::npos || !fs::exists(directory_ / name)) {
        throw ModelError(index.string() + ": shard '" + name + "' is not in the directory");
      }
      open(directory_ / name);
    }
  }

  fs::path directory_;
  std::map<std::string, std::shared_ptr<SafetensorsFile>> files_of_;
  std::set<std::string> taken_;
};

// The network of raw tensors; `release` is told which of them is not needed any more.
std::shared_ptr<LlamaForCausalLM> build(const ModelConfig& config, at::ScalarType dtype, const WeightSource& raw,
                                        const std::function<void(const std::string& name)>& release,
                                        const Quantizer& quantizer) {
  const WeightSource weights = [&](const std::string& name, at::IntArrayRef shape) {
    const at::Tensor found = raw(name, shape);
    at::Tensor tensor = found.to(dtype);
    if (!tensor.is_same(found)) release(name);
    return tensor;
  };
  LinearSource linears;
  if (quantizer) {
    linears = [&](const std::string& path, int64_t out, int64_t in, bool bias) {
      const auto linear = quantizer(path, raw(path + ".weight", {out, in}),
                                    bias ? weights(path + ".bias", {out}) : at::Tensor(), dtype);
      release(path + ".weight");
      return linear;
    };
  }
  return std::make_shared<LlamaForCausalLM>(config, dtype, weights, linears);
}

// A classifier's directory holds no language model.
const LabelNames& chosen_labels(const ModelConfig& stored, const LabelNames& labels, const fs::path& directory) {
  if (stored.labels.empty() || !labels.empty()) return labels;
  throw ModelError(directory.string() + ": is a classifier of " + std::to_string(stored.labels.size()) +
                   " labels; expected a language model (model.head: sequence_classification trains a classifier, "
                   "lora-classify asks it)");
}

}  // namespace

bool has_weights(const fs::path& directory) {
  return fs::exists(directory / kSingleFile) || fs::exists(directory / kIndexFile);
}

const Names& dtype_names() {
  static const Names names = {{"auto", "float32", "bfloat16"},
                              {{"fp32", "float32"}, {"f32", "float32"}, {"float", "float32"}, {"bf16", "bfloat16"}}};
  return names;
}

std::shared_ptr<LlamaForCausalLM> load_pretrained(const fs::path& directory, const std::string& dtype,
                                                  const HeadOptions& head, const Quantizer& quantizer) {
  ModelConfig config = read_model_config(directory);
  const bool classifier = !config.labels.empty();
  config.labels = chosen_labels(config, head.labels, directory);
  PretrainedWeights weights(directory);
  const auto raw = [&](const std::string& name, at::IntArrayRef shape) {
    if (name != "score.weight" || classifier) return weights.take(name, shape);
    at::Generator generator = at::detail::createCPUGenerator(head.seed);
    return at::empty(shape, at::kFloat).normal_(0.0, config.initializer_range, generator);
  };
  auto model = build(
      config, compute_dtype(dtype, config), raw, [&](const std::string& name) { weights.release(name); }, quantizer);
  weights.expect_all_taken(/*ignore_lm_head=*/config.tie_word_embeddings || !head.labels.empty());
  return model;
}

std::shared_ptr<LlamaForCausalLM> make_random(const fs::path& directory, const std::string& dtype, uint64_t seed,
                                              const LabelNames& labels, const Quantizer& quantizer) {
  ModelConfig config = read_model_config(directory);
  config.labels = labels;
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const auto draw = [&](const std::string& name, at::IntArrayRef shape) {
    at::Tensor tensor = at::empty(shape, at::kFloat);
    if (name.ends_with(".bias")) return tensor.zero_();
    if (shape.size() == 1) return tensor.fill_(config.norm_kind == NormKind::kOnePlus ? 0.0 : 1.0);  // norms: times one
    return tensor.normal_(0.0, config.initializer_range, generator);
  };
  return build(
      config, compute_dtype(dtype, config), draw, [](const std::string&) {}, quantizer);
}

std::shared_ptr<LlamaForCausalLM> make_meta(const fs::path& directory, const std::string& dtype,
                                            const LabelNames& labels, const Quantizer& quantizer) {
  ModelConfig config = read_model_config(directory);
  config.labels = chosen_labels(config, labels, directory);
  const auto shape_only = [](const std::string&, at::IntArrayRef shape) {
    return at::empty(shape, at::TensorOptions(at::kFloat).device(at::kMeta));
  };
  return build(
      config, compute_dtype(dtype, config), shape_only, [](const std::string&) {}, quantizer);
}

}  // namespace lora
