#include "models/network/pretrained.h"
#include "models/base/json.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/read_file.h"
#include "models/io/safetensors.h"
#include "models/io/same_values.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kHeadWeight = "lm_head.weight";
constexpr const char* kEmbeddingWeight = "model.embed_tokens.weight";
constexpr const char* kIndexFile = "model.safetensors.index.json";

at::ScalarType compute_dtype(const std::string& requested, const ModelConfig& config) {
  const std::string name = requested == "auto" ? config.dtype : requested;
  // All float8 values are bfloat16 ones too.
  if (name == "bfloat16" || (requested == "auto" && name.starts_with("float8_"))) return at::kBFloat16;
  if (requested == "float16") return at::kHalf;
  if (name == "float32" || name == "float16") return at::kFloat;
  throw ModelError("dtype '" + name + "' is not supported; expected one of " + joined(dtype_names().known));
}

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

// The names of the files in an index.
std::set<std::string> shards(const fs::path& index) {
  try {
    std::set<std::string> names;
    const auto map = parse_json<json>(read_file(index)).at("weight_map").get<std::map<std::string, std::string>>();
    for (const auto& [tensor, name] : map) names.insert(name);
    return names;
  } catch (const json::exception& e) {
    throw ModelError(index.string() + ": expected an object with a 'weight_map': " + e.what());
  }
}

// Whether an index may name this file: one of the directory's own.
bool is_shard(const fs::path& directory, const std::string& name) {
  std::error_code error;  // of a name that no file system takes
  return name.find('/') == name.npos && name.find('\0') == name.npos && fs::exists(directory / name, error);
}

// The files of a directory as one set of named tensors, which are ticked off as they are taken.
class PretrainedWeights {
 public:
  explicit PretrainedWeights(const fs::path& directory) : directory_(directory) {
    // Of both, the single file, as transformers has it.
    const fs::path single = directory / kSingleFile, index = directory / kIndexFile;
    if (fs::exists(single)) {
      open(single);
      if (fs::exists(index)) expect_index_of_single(index);
    } else if (fs::exists(index)) {
      for (const fs::path& file : weight_files(directory)) open(file);
    } else {
      throw ModelError(directory.string() + ": no model.safetensors and no model.safetensors.index.json" +
                       (fs::exists(directory / "pytorch_model.bin")
                            ? "; pytorch_model.bin is a pickle and is not read: save the model with safetensors"
                            : ""));
    }
    if (!places_.contains(kEmbeddingWeight)) add_prefix();
  }

  at::Tensor take(const std::string& name, at::IntArrayRef shape) {
    const auto found = places_.find(name);
    if (found == places_.end()) {
      throw ModelError(
          directory_.string() + ": tensor '" + name + "' " + shape_text(shape) + " is missing" +
          (name == kHeadWeight ? ", and config.json does not tie the head (tie_word_embeddings is false)" : ""));
    }
    const at::Tensor tensor = found->second.tensor();
    if (tensor.sizes() != shape) {
      throw ModelError(found->second.file->path().string() + ": tensor '" + name + "' is " +
                       shape_text(tensor.sizes()) + "; expected " + shape_text(shape) + " by config.json");
    }
    if (!tensor.is_floating_point()) {
      throw ModelError(found->second.file->path().string() + ": tensor '" + name + "' holds " +
                       c10::toString(tensor.scalar_type()) + "; expected F32, F16, BF16 or F8");
    }
    taken_.insert(name);
    return tensor;
  }

  void release(const std::string& name) const {
    const auto found = places_.find(name);
    if (found != places_.end()) found->second.release();
  }

  // transformers keeps a stored head that differs from the embedding although config.json ties the two. Which of them
  // was trained cannot be known.
  void expect_tied_head() const {
    const auto head = places_.find(kHeadWeight), embedding = places_.find(kEmbeddingWeight);
    if (head == places_.end() || embedding == places_.end()) return;
    const bool same = same_values(head->second.tensor(), embedding->second.tensor());
    head->second.release();
    if (same) return;
    throw ModelError((directory_ / "config.json").string() + ": 'tie_word_embeddings' is true or left out, but '" +
                     kHeadWeight + "' in " + head->second.file->path().string() + " differs from '" + kEmbeddingWeight +
                     "'; expected the same values, or tie_word_embeddings: false where the head has its own");
  }

  void expect_all_taken(bool ignore_lm_head) const {
    std::vector<std::string> extra;
    for (const auto& [name, place] : places_) {
      const bool buffer = name.ends_with(".rotary_emb.inv_freq");
      if (taken_.contains(name) || buffer || (ignore_lm_head && name == kHeadWeight)) continue;
      extra.push_back(name);
    }
    if (!extra.empty()) {
      throw ModelError(directory_.string() + ": tensors that config.json has no place for: " + listed(extra));
    }
  }

 private:
  // A tensor of a file, by the name that it has there.
  struct Place {
    std::shared_ptr<SafetensorsFile> file;
    std::string name;
    at::Tensor tensor() const { return file->tensor(name); }
    void release() const { file->release(name); }
  };

  // A decoder that was saved without a head (transformers' LlamaModel) has names without "model.".
  void add_prefix() {
    std::map<std::string, Place> prefixed;
    for (const auto& [name, place] : places_) {
      const bool head = name.starts_with("lm_head.") || name.starts_with("score.");
      if (name.starts_with("model.")) return;
      prefixed.emplace(head ? name : "model." + name, place);
    }
    places_ = std::move(prefixed);
  }

  void open(const fs::path& path) {
    auto file = std::make_shared<SafetensorsFile>(path);
    for (const auto& [name, entry] : file->entries()) {
      if (!places_.emplace(name, Place{file, name}).second) {
        throw ModelError(path.string() + ": tensor '" + name + "' stands in two files");
      }
    }
  }

  // An index of files that are there as well would be a second set of weights.
  void expect_index_of_single(const fs::path& index) const {
    for (const std::string& name : shards(index)) {
      if (name == kSingleFile || !is_shard(directory_, name)) continue;
      throw ModelError(directory_.string() + ": holds " + kSingleFile + " and, by " + kIndexFile + ", " + name +
                       "; expected one of the two sets of weights");
    }
  }

  fs::path directory_;
  std::map<std::string, Place> places_;  // by the names that a language model's file has
  std::set<std::string> taken_;
};

// The network of raw tensors; `release` is told which of them is not needed any more.
std::shared_ptr<LlamaForCausalLM> build(const ModelConfig& config, const ModelForm& options, const WeightSource& raw,
                                        const std::function<void(const std::string& name)>& release,
                                        const Quantizer& quantizer) {
  const WeightSource weights = [&](const std::string& name, at::IntArrayRef shape) {
    const at::Tensor found = raw(name, shape);
    at::Tensor tensor = found.to(options.device, options.dtype);
    if (!tensor.is_same(found)) release(name);
    return tensor;
  };
  LinearSource linears;
  if (quantizer) {
    linears = [&](const std::string& path, int64_t out, int64_t in, bool bias) {
      const auto linear = quantizer(path, raw(path + ".weight", {out, in}),
                                    bias ? weights(path + ".bias", {out}) : at::Tensor(), options);
      release(path + ".weight");
      return linear;
    };
  }
  return std::make_shared<LlamaForCausalLM>(config, options.dtype, weights, linears);
}

// A classifier's directory holds no language model.
const LabelNames& chosen_labels(const ModelConfig& stored, const LabelNames& labels, const fs::path& directory) {
  if (stored.labels.empty() || !labels.empty()) return labels;
  throw ModelError(directory.string() + ": is a classifier of " + std::to_string(stored.labels.size()) +
                   " labels; expected a language model (model.head: sequence_classification trains a classifier, "
                   "lora-classify asks it)");
}

}  // namespace

std::vector<fs::path> weight_files(const fs::path& directory) {
  if (fs::exists(directory / kSingleFile)) return {directory / kSingleFile};
  std::vector<fs::path> files;
  if (!fs::exists(directory / kIndexFile)) return files;
  for (const std::string& name : shards(directory / kIndexFile)) {
    if (!is_shard(directory, name)) {
      throw ModelError((directory / kIndexFile).string() + ": shard '" + name + "' is not in the directory");
    }
    files.push_back(directory / name);
  }
  return files;
}

bool has_weights(const fs::path& directory) {
  return fs::exists(directory / kSingleFile) || fs::exists(directory / kIndexFile);
}

const Names& dtype_names() {
  static const Names names = {{"auto", "float32", "bfloat16", "float16"},
                              {{"fp32", "float32"},
                               {"f32", "float32"},
                               {"float", "float32"},
                               {"bf16", "bfloat16"},
                               {"fp16", "float16"},
                               {"f16", "float16"},
                               {"half", "float16"}}};
  return names;
}

std::string dtype_name(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float32";
}

std::shared_ptr<LlamaForCausalLM> load_pretrained(const fs::path& directory, const std::string& dtype,
                                                  const HeadOptions& head, const Quantizer& quantizer,
                                                  at::Device device) {
  ModelConfig config = read_model_config(directory);
  const bool classifier = !config.labels.empty();
  config.labels = chosen_labels(config, head.labels, directory);
  PretrainedWeights weights(directory);
  if (config.tie_word_embeddings && head.labels.empty()) weights.expect_tied_head();
  const int64_t stored_rows = config.vocab_size;
  config.new_tokens = head.new_tokens;
  config.new_rows = std::max<int64_t>(head.new_rows.rows - stored_rows, 0);
  config.vocab_size += config.new_rows;
  if (config.new_rows > 0) {
    config.notes.push_back(std::to_string(config.new_rows) + " of its rows are new, beyond the files' " +
                           std::to_string(stored_rows));
  }
  const auto raw = [&](const std::string& name, at::IntArrayRef shape) {
    if (config.new_rows > 0 && (name == kEmbeddingWeight || name == kHeadWeight)) {
      const at::Tensor stored = weights.take(name, {stored_rows, shape[1]});
      return at::cat({stored, head.new_rows.make(name, stored, config.new_rows).to(stored.scalar_type())});
    }
    if (name != "score.weight" || classifier) return weights.take(name, shape);
    at::Generator generator = at::detail::createCPUGenerator(head.seed);
    return at::empty(shape, at::kFloat).normal_(0.0, config.initializer_range, generator);
  };
  auto model = build(
      config, {compute_dtype(dtype, config), device}, raw, [&](const std::string& name) { weights.release(name); },
      quantizer);
  weights.expect_all_taken(/*ignore_lm_head=*/config.tie_word_embeddings || !head.labels.empty());
  return model;
}

std::shared_ptr<LlamaForCausalLM> make_random(const fs::path& directory, const std::string& dtype, uint64_t seed,
                                              const LabelNames& labels, const Quantizer& quantizer, at::Device device) {
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
      config, {compute_dtype(dtype, config), device}, draw, [](const std::string&) {}, quantizer);
}

std::shared_ptr<LlamaForCausalLM> make_meta(const fs::path& directory, const std::string& dtype,
                                            const LabelNames& labels, const Quantizer& quantizer) {
  ModelConfig config = read_model_config(directory);
  config.labels = chosen_labels(config, labels, directory);
  const auto shape_only = [](const std::string&, at::IntArrayRef shape) {
    return at::empty(shape, at::TensorOptions(at::kFloat).device(at::kMeta));
  };
  return build(
      config, {compute_dtype(dtype, config), at::kMeta}, shape_only, [](const std::string&) {}, quantizer);
}

}  // namespace lora
