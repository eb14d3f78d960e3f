#include "lora/adapters/peft.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "lora/adapters/initialise.h"
#include "lora/adapters/matcher.h"
#include "lora/adapters/method.h"
#include "models/base/atomic_file.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/io/safetensors.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeightsFile = "adapter_model.safetensors";

std::string prefix_of(const Adaptation& adaptation) { return adaptation.whole_network ? "" : "base_model.model."; }

// Where a tied head is one with the embedding a file has its values twice. They stand last among trained_tensors().
NamedTensors tied_head_tensors(const LlamaForCausalLM& model, const Adaptation& adaptation) {
  NamedTensors tensors;
  if (!adaptation.tied_head || adaptation.whole_network) return tensors;
  const std::string prefix = prefix_of(adaptation) + kHeadPath + ".";
  if (adaptation.embedding) {
    for (const auto& [name, tensor] : adaptation.embedding->tied_head_tensors()) {
      tensors.emplace_back(prefix + name, tensor);
    }
  } else {
    tensors.emplace_back(prefix + "weight", model.model->embed_tokens->weight_matrix());
  }
  return tensors;
}

// Takes in values of the order and shapes of trained_tensors().
void put_trained_tensors(const LlamaForCausalLM& model, const Adaptation& adaptation,
                         const std::vector<at::Tensor>& values) {
  const at::NoGradGuard no_grad;
  const auto places = trained_tensors(model, adaptation);
  const size_t end = places.size() - tied_head_tensors(model, adaptation).size();
  size_t next = 0;
  for (const AdaptedModule& module : adaptation.modules) {
    std::vector<at::Tensor> own(module.layer->peft_tensors().size());
    for (at::Tensor& value : own) value = values[next++];
    module.layer->load_peft_tensors(own);
  }
  for (; next < end; ++next) at::Tensor(places[next].second).copy_(values[next]);
}

// The base's own weight of that name in a file, or undefined. PEFT writes those of the embedding and of the head beside
// an adapter of one of them ("…embed_tokens.base_layer.weight").
at::Tensor base_weight(const LlamaForCausalLM& model, const Adaptation& adaptation, const std::string& name) {
  if (adaptation.whole_network) return {};
  const auto is = [&](const std::string& path) {
    const std::string module = prefix_of(adaptation) + path;
    return name == module + ".weight" || name == module + ".base_layer.weight";
  };
  const at::Tensor embedding = model.model->embed_tokens->weight_matrix();
  if (is(kEmbeddingPath)) return embedding;
  if (!is(kHeadPath) || model.score) return {};
  return model.lm_head ? model.lm_head->weight_matrix() : embedding;
}

// Whether both are the same weight, of which one may have been rounded to the other's dtype.
bool same_weight(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return false;
  const at::ScalarType narrow = a.element_size() <= b.element_size() ? a.scalar_type() : b.scalar_type();
  return a.to(narrow).equal(b.to(narrow));
}

// A file's scaling, its rows and what is tied in it are part of what its weights mean; tensors alone would not show a
// difference.
void expect_same_meaning(const std::string& where, const AdapterConfig& file, const AdapterConfig& recipe,
                         const Adaptation& adaptation) {
  const auto said = [](bool value) { return std::string(value ? "true" : "false"); };
  const auto refuse = [&](const std::string& what, const std::string& found, const std::string& wanted) {
    throw ModelError(where + ": " + what + " is " + found + "; the recipe has " + wanted);
  };
  const Method &found = methods().at(file.method), &wanted = methods().at(recipe.method);
  if (found.peft_type != wanted.peft_type || found.peft_flags != wanted.peft_flags) {
    throw ModelError(where + ": an adapter of method " + file.method + "; the recipe has " + recipe.method);
  }
  if ((starts_from_base(file) || starts_from_base(recipe)) && file.init != recipe.init) {
    refuse("'init_lora_weights'", file.init, "init " + recipe.init);
  }
  if (file.use_rslora != recipe.use_rslora) refuse("'use_rslora'", said(file.use_rslora), said(recipe.use_rslora));
  if (file.trainable_token_indices != recipe.trainable_token_indices) {
    const auto list = [](const std::vector<int64_t>& indices) { return c10::str(at::IntArrayRef(indices)); };
    refuse("'trainable_token_indices'", list(file.trainable_token_indices), list(recipe.trainable_token_indices));
  }
  // Only where embedding or head is part of the adapter of a tied model does it mean anything.
  const bool tied = ties_head(adaptation, recipe);
  if (tied && !file.ensure_weight_tying) refuse("'ensure_weight_tying'", "false", "true (the model's head is tied)");
  for (const AdaptedModule& module : adaptation.modules) {
    const auto [path, rank, alpha] = adapter_target(module.path, file);
    if (file.method == "adalora" && rank < module.layer->rank()) {
      throw ModelError(where + ": '" + path + "' is pruned to rank " + std::to_string(rank) +
                       " already; wanted an AdaLoRA adapter with all of its ranks. lora-export --format lora makes a "
                       "LoRA adapter of it, to go on from with method lora");
    }
    if (alpha != module.layer->alpha()) {
      refuse("alpha of '" + module.path + "'", std::to_string(alpha), std::to_string(module.layer->alpha()));
    }
  }
  const auto embedding = std::dynamic_pointer_cast<LoraEmbedding>(adaptation.embedding);
  if (const double alpha = adapter_target(kEmbeddingPath, file).alpha; embedding && alpha != embedding->alpha()) {
    refuse("alpha of '" + std::string(kEmbeddingPath) + "'", std::to_string(alpha), std::to_string(embedding->alpha()));
  }
}

// What the tensors of a file of config.init lack, by their names: the pair that the base gave, negated as it is saved.
std::map<std::string, at::Tensor> initial_halves(const AdapterConfig& config, const Adaptation& adaptation) {
  std::map<std::string, at::Tensor> halves;
  if (!starts_from_base(config)) return halves;
  for (const AdaptedModule& module : adaptation.modules) {
    const MethodOptions options{config, module.layer->rank(), module.layer->alpha(), /*seed=*/0};
    const InitialPair pair = initial_pair(*module.layer->base_layer(), options);
    const std::string path = prefix_of(adaptation) + module.path;
    halves[path + ".lora_A.weight"] = pair.lora_A;
    halves[path + ".lora_B.weight"] = -pair.lora_B;
  }
  return halves;
}

void load_tensors(const fs::path& path, const LlamaForCausalLM& model, const Adaptation& adaptation,
                  const std::map<std::string, at::Tensor>& halves) {
  const at::NoGradGuard no_grad;
  const SafetensorsFile file(path);
  const auto read = [&](const std::string& name) {
    const at::Tensor own = file.tensor(name);
    const auto half = halves.find(name);
    if (half == halves.end() || own.sizes() != half->second.sizes()) return own;
    return at::cat({own.to(at::kFloat), half->second}, name.ends_with("lora_A.weight") ? 0 : 1);
  };
  std::set<std::string> wanted;
  std::vector<std::string> missing, extra;
  const auto tensors = trained_tensors(model, adaptation);
  for (const auto& [name, tensor] : tensors) {
    wanted.insert(name);
    if (!file.entries().contains(name)) missing.push_back(name);
  }
  for (const auto& [name, entry] : file.entries()) {
    if (wanted.contains(name)) continue;
    const at::Tensor own = base_weight(model, adaptation, name);
    if (!own.defined()) {
      extra.push_back(name);
    } else if (!same_weight(file.tensor(name), own)) {
      throw ModelError(path.string() + ": '" + name + "' is another weight than the base's" +
                       (file.tensor(name).sizes() == own.sizes() ? ""
                                                                 : ", of shape " + c10::str(file.tensor(name).sizes()) +
                                                                       " where the base has " + c10::str(own.sizes())) +
                       "; wanted the base that the adapter was trained on");
    }
  }
  if (!missing.empty() || !extra.empty()) {
    throw ModelError(path.string() + ": does not fit the adapted modules" +
                     (missing.empty() ? "" : "; missing: " + listed(missing, 8)) +
                     (extra.empty() ? "" : "; not wanted: " + listed(extra, 8)));
  }
  // Every shape is checked before the first weight is written.
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor found = read(name);
    if (found.sizes() == tensor.sizes()) continue;
    throw ModelError(path.string() + ": tensor '" + name + "' is " + c10::str(found.sizes()) + "; wanted " +
                     c10::str(tensor.sizes()) + " (is the rank the same?)");
  }
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : tensors) values.push_back(read(name));
  put_trained_tensors(model, adaptation, values);
  for (const auto& [name, tensor] : tied_head_tensors(model, adaptation)) {
    if (same_weight(file.tensor(name), tensor)) continue;
    throw ModelError(path.string() + ": '" + name + "' differs from what embed_tokens has there; wanted a file whose " +
                     "tied head was trained together with it (ensure_weight_tying)");
  }
}

}  // namespace

bool ties_head(const Adaptation& adaptation, const AdapterConfig& config) {
  return adaptation.tied_head && config.trainable_token_indices.empty();
}

NamedTensors trained_tensors(const LlamaForCausalLM& model, const Adaptation& adaptation) {
  const std::string prefix = prefix_of(adaptation);
  NamedTensors tensors;
  for (const AdaptedModule& module : adaptation.modules) {
    for (const auto& [name, tensor] : module.layer->peft_tensors()) {
      tensors.emplace_back(prefix + module.path + "." + name, tensor);
    }
  }
  if (adaptation.embedding) {
    for (const auto& [name, tensor] : adaptation.embedding->peft_tensors()) {
      tensors.emplace_back(prefix + kEmbeddingPath + "." + name, tensor);
    }
  }
  const std::set<std::string> biases(adaptation.biases.begin(), adaptation.biases.end());
  for (const auto& item : model.named_parameters()) {
    const bool saved = std::ranges::any_of(adaptation.saved_modules,
                                           [&](const std::string& path) { return item.key().starts_with(path + "."); });
    if (saved || biases.contains(item.key())) tensors.emplace_back(prefix + item.key(), item.value());
  }
  for (auto& tensor : tied_head_tensors(model, adaptation)) tensors.push_back(std::move(tensor));
  return tensors;
}

void copy_trained_tensors(const LlamaForCausalLM& from, const Adaptation& from_adaptation, const LlamaForCausalLM& to,
                          const Adaptation& to_adaptation) {
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : trained_tensors(from, from_adaptation)) values.push_back(tensor);
  put_trained_tensors(to, to_adaptation, values);
}

void write_peft(const fs::path& directory, const LlamaForCausalLM& model, const Adaptation& adaptation,
                const AdapterConfig& config, const std::string& base_model) {
  write_safetensors(directory / kWeightsFile, trained_tensors(model, adaptation), {{"format", "pt"}});
  write_file_atomically(directory / kPeftConfigFile, peft_config_text(model, adaptation, config, base_model));
  write_labels(directory, model.config().labels);
}

void load_trained_tensors(const fs::path& path, const LlamaForCausalLM& model, const Adaptation& adaptation) {
  load_tensors(path, model, adaptation, {});
}

void load_peft_weights(const fs::path& directory, const LlamaForCausalLM& model, const Adaptation& adaptation,
                       const AdapterConfig& recipe) {
  const auto [config, base_model, task] = read_peft_config(directory);
  if (task == "SEQ_CLS" && !model.score) {
    throw ModelError(directory.string() + ": is a classifier's adapter; wanted one of a language model");
  }
  expect_same_meaning(directory.string(), config, recipe, adaptation);
  load_tensors(directory / kWeightsFile, model, adaptation, initial_halves(config, adaptation));
}

}  // namespace lora
