#include "lora/adapters/peft.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "lora/adapters/initialise.h"
#include "lora/adapters/matcher.h"
#include "lora/adapters/peft_names.h"
#include "lora/adapters/registry.h"
#include "models/base/atomic_file.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/io/safetensors.h"
#include "models/io/same_values.h"

namespace lora {
namespace {

namespace fs = std::filesystem;

bool trains_network(const AdaptedModel& adapted) { return find_method(adapted.config.method).trains_network; }

std::string prefix_of(const AdaptedModel& adapted) { return trains_network(adapted) ? "" : "base_model.model."; }

// Where a tied head is one with the embedding a file has its values twice. They stand last among trained_tensors().
NamedTensors tied_head_tensors(const AdaptedModel& adapted) {
  NamedTensors tensors;
  if (!adapted.tied_head || trains_network(adapted)) return tensors;
  const std::string prefix = prefix_of(adapted) + kHeadPath + ".";
  if (adapted.embedding) {
    for (const auto& [name, tensor] : adapted.embedding->tied_head_tensors()) {
      tensors.emplace_back(prefix + name, tensor);
    }
  } else {
    tensors.emplace_back(prefix + "weight", adapted.model->model->embed_tokens->weight_matrix());
  }
  return tensors;
}

// Takes in values of the order and shapes of trained_tensors().
void put_trained_tensors(const AdaptedModel& adapted, const std::vector<at::Tensor>& values) {
  const at::NoGradGuard no_grad;
  const auto places = trained_tensors(adapted);
  const size_t end = places.size() - tied_head_tensors(adapted).size();
  size_t next = 0;
  for (const AdaptedModule& module : adapted.modules) {
    std::vector<at::Tensor> own(module.layer->peft_tensors().size());
    for (at::Tensor& value : own) value = values[next++];
    module.layer->load_peft_tensors(own);
  }
  for (; next < end; ++next) at::Tensor(places[next].second).copy_(values[next]);
}

// The base's own weight of that name in a file, or undefined. PEFT writes those of the embedding and of the head beside
// an adapter of one of them ("…embed_tokens.base_layer.weight"), and both where the vocabulary was resized. To be asked
// before an adapter's weights are loaded: what is trained whole has the base's values until then.
at::Tensor base_weight(const AdaptedModel& adapted, const std::string& name) {
  if (trains_network(adapted)) return {};
  const std::string original = ".original_module";
  if (const size_t at = name.find(original + "."); at != std::string::npos && name.starts_with(prefix_of(adapted))) {
    const std::string own = std::string(name).erase(at, original.size()).substr(prefix_of(adapted).size());
    const auto parameters = adapted.model->named_parameters();
    if (const at::Tensor* found = parameters.find(own)) return *found;
  }
  const auto is = [&](const std::string& path) {
    const std::string module = prefix_of(adapted) + path;
    return name == module + ".weight" || name == module + ".base_layer.weight" ||
           name == module + ".original_module.weight" || name == module + ".token_adapter.base_layer.weight";
  };
  const at::Tensor embedding = adapted.model->model->embed_tokens->weight_matrix();
  if (is(kEmbeddingPath)) return embedding;
  if (!is(kHeadPath) || adapted.model->score) return {};
  return adapted.model->lm_head ? adapted.model->lm_head->weight_matrix() : embedding;
}

constexpr const char* kRowsName = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta";

// Whether the tensor is what PEFT writes of a tied head, beside kRowsName, where the vocabulary was resized.
bool is_second_copy_of_rows(const AdaptedModel& adapted, const std::string& name) {
  return adapted.tied_head && !adapted.config.trainable_token_indices.empty() &&
         name == "base_model.model.lm_head.token_adapter.trainable_tokens_delta";
}

// Whether both are the same weight, of which one may have been rounded to the other's dtype.
bool same_weight(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return false;
  const at::ScalarType narrow = a.element_size() <= b.element_size() ? a.scalar_type() : b.scalar_type();
  return same_values(a.cpu().to(narrow), b.cpu().to(narrow));
}

// A file's scaling, its rows and what is tied in it are part of what its weights mean; tensors alone would not show a
// difference.
void expect_same_meaning(const std::string& where, const AdapterConfig& file, const AdaptedModel& adapted) {
  const AdapterConfig& recipe = adapted.config;
  const std::string whose = recipe.file.empty() ? "the recipe has " : "expected ";
  const auto said = [](bool value) { return std::string(value ? "true" : "false"); };
  const auto refuse = [&](const std::string& what, const std::string& found, const std::string& expected) {
    throw ModelError(where + ": " + what + " is " + found + "; " + whose + expected);
  };
  const Method &found = find_method(file.method), &expected = find_method(recipe.method);
  if (found.peft_type != expected.peft_type || found.peft_flags != expected.peft_flags) {
    throw ModelError(where + ": an adapter of method " + file.method + "; " + whose + recipe.method);
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
  const bool tied = ties_head(adapted);
  if (tied && !file.ensure_weight_tying) refuse("'ensure_weight_tying'", "false", "true (the model's head is tied)");
  for (const AdaptedModule& module : adapted.modules) {
    const auto [path, rank, alpha] = adapter_target(module.path, file);
    if (found.finished && rank < module.layer->rank()) {
      throw ModelError(where + ": '" + path + "' is pruned to rank " + std::to_string(rank) +
                       " already; expected an adapter with all of its ranks. lora-export --format lora makes a LoRA "
                       "adapter of it, to continue from with method lora");
    }
    if (alpha != module.layer->alpha()) {
      refuse("alpha of '" + module.path + "'", std::to_string(alpha), std::to_string(module.layer->alpha()));
    }
  }
  const auto own = adapted.embedding ? adapted.embedding->alpha() : std::nullopt;
  if (const double alpha = adapter_target(kEmbeddingPath, file).alpha; own && alpha != *own) {
    refuse("alpha of '" + std::string(kEmbeddingPath) + "'", std::to_string(alpha), std::to_string(*own));
  }
}

// What a tensor of a file lacks: it is joined to the file's own along `dim`.
struct Half {
  at::Tensor tensor;
  int64_t dim;
};

// What the tensors of a file of config.init lack, by their names: the pair that the base gave, negated as it is saved.
std::map<std::string, Half> initial_halves(const AdapterConfig& config, const AdaptedModel& adapted) {
  std::map<std::string, Half> halves;
  if (!starts_from_base(config)) return halves;
  for (const AdaptedModule& module : adapted.modules) {
    const LayerOptions options{config, module.layer->rank(), module.layer->alpha(), /*seed=*/0};
    const InitialPair pair = initial_pair(*module.layer->base_layer(), options);
    const auto own = module.layer->peft_tensors();
    const std::string path = prefix_of(adapted) + module.path + ".";
    halves[path + own[0].first] = {pair.lora_A, 0};
    halves[path + own[1].first] = {-pair.lora_B, 1};
  }
  return halves;
}

void load_tensors(const fs::path& path, const AdaptedModel& adapted, const std::map<std::string, Half>& halves) {
  const at::NoGradGuard no_grad;
  const SafetensorsFile file(path);
  const std::map<std::string, std::string> names = peft_names(file);
  const auto read = [&](const std::string& name) {
    at::Tensor own = file.tensor(names.at(name));
    if (!own.is_floating_point()) {
      throw ModelError(path.string() + ": tensor '" + name + "' holds " + c10::toString(own.scalar_type()) +
                       "; expected F32, F16, BF16 or F8");
    }
    if (own.element_size() == 1) own = own.to(at::kFloat);  // little is computed in F8
    const auto half = halves.find(name);
    if (half == halves.end() || own.sizes() != half->second.tensor.sizes()) return own;
    return at::cat({own.to(at::kFloat), half->second.tensor.cpu()}, half->second.dim);
  };
  std::set<std::string> expected;
  std::vector<std::string> missing, extra;
  const auto tensors = trained_tensors(adapted);
  for (const auto& [name, tensor] : tensors) {
    expected.insert(name);
    if (!names.contains(name)) missing.push_back(name);
  }
  for (const auto& [name, own_name] : names) {
    if (expected.contains(name)) continue;
    const at::Tensor found = file.tensor(own_name), own = base_weight(adapted, name);
    if (is_second_copy_of_rows(adapted, name) && names.contains(kRowsName)) {
      if (same_values(found, file.tensor(names.at(kRowsName)))) continue;
      throw ModelError(path.string() + ": '" + own_name +
                       "' differs from what embed_tokens has there, to which the "
                       "head is tied; expected the same rows");
    }
    if (!own.defined()) {
      extra.push_back(own_name);
    } else if (!same_weight(found, own)) {
      throw ModelError(path.string() + ": '" + own_name + "' is another weight than the base's" +
                       (found.sizes() == own.sizes() ? ""
                                                     : ", of shape " + c10::str(found.sizes()) +
                                                           " where the base has " + c10::str(own.sizes())) +
                       "; expected the base that the adapter was trained on");
    }
  }
  if (!missing.empty() || !extra.empty()) {
    const bool biases = std::ranges::any_of(missing, [](const std::string& name) { return name.ends_with(".bias"); });
    throw ModelError(
        path.string() + ": does not fit the adapted modules" +
        (missing.empty() ? "" : "; missing: " + listed(missing, 8)) +
        (extra.empty() ? "" : "; not expected: " + listed(extra, 8)) +
        (biases ? "; PEFT before 0.21 did not save all biases that it trained, so that they are lost" : ""));
  }
  // Every shape is checked before the first weight is written.
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor found = read(name);
    if (found.sizes() == tensor.sizes()) continue;
    const bool vocabulary =
        name == prefix_of(adapted) + kEmbeddingPath + ".weight" || name == prefix_of(adapted) + kHeadPath + ".weight";
    throw ModelError(path.string() + ": tensor '" + name + "' is " + c10::str(found.sizes()) + "; expected " +
                     c10::str(tensor.sizes()) +
                     (vocabulary ? " (is of another vocabulary; in a recipe model.new_tokens adds tokens)"
                                 : " (is the rank the same?)"));
  }
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : tensors) {
    values.push_back(read(name));
    if (values.back().isfinite().all().item<bool>()) continue;
    throw ModelError(path.string() + ": tensor '" + name + "' holds a value that is not finite; expected numbers");
  }
  put_trained_tensors(adapted, values);
  for (const auto& [name, tensor] : tied_head_tensors(adapted)) {
    if (same_weight(file.tensor(names.at(name)), tensor)) continue;
    throw ModelError(path.string() + ": '" + name +
                     "' differs from what embed_tokens has there; expected a file whose " +
                     "tied head was trained together with it (ensure_weight_tying)");
  }
}

}  // namespace

bool ties_head(const AdaptedModel& adapted) {
  return adapted.tied_head && adapted.config.trainable_token_indices.empty();
}

NamedTensors trained_tensors(const AdaptedModel& adapted) {
  const std::string prefix = prefix_of(adapted);
  NamedTensors tensors;
  for (const AdaptedModule& module : adapted.modules) {
    for (const auto& [name, tensor] : module.layer->peft_tensors()) {
      tensors.emplace_back(prefix + module.path + "." + name, tensor);
    }
  }
  if (adapted.embedding) {
    for (const auto& [name, tensor] : adapted.embedding->peft_tensors()) {
      tensors.emplace_back(prefix + kEmbeddingPath + "." + name, tensor);
    }
  }
  const std::set<std::string> biases(adapted.biases.begin(), adapted.biases.end());
  for (const auto& item : adapted.model->named_parameters()) {
    const bool saved = std::ranges::any_of(adapted.saved_modules,
                                           [&](const std::string& path) { return item.key().starts_with(path + "."); });
    if (saved || biases.contains(item.key())) tensors.emplace_back(prefix + item.key(), item.value());
  }
  for (auto& tensor : tied_head_tensors(adapted)) tensors.push_back(std::move(tensor));
  return tensors;
}

void refuse_mlx_adapter(const fs::path& directory) {
  throw ModelError(directory.string() +
                   ": is an adapter of mlx-lm, whose matrices and scale are other than PEFT's; expected a PEFT adapter "
                   "directory, with 'peft_type' in adapter_config.json, and adapter_model.safetensors");
}

void expect_no_mlx_adapter(const fs::path& directory) {
  if (fs::exists(directory / kPeftWeightsFile)) return;
  for (const char* weights : {"adapters.safetensors", "adapters.npz"}) {
    if (fs::exists(directory / weights)) refuse_mlx_adapter(directory);
  }
}

void expect_peft_weights(const fs::path& directory) {
  if (fs::exists(directory / kPeftWeightsFile)) return;
  const bool pickle = fs::exists(directory / "adapter_model.bin");
  throw ModelError(directory.string() + ": no " + kPeftWeightsFile +
                   (pickle ? "; adapter_model.bin is a pickle and is not read: load the adapter with PEFT and save it "
                             "again, save_pretrained writes safetensors"
                           : ""));
}

void copy_trained_tensors(const AdaptedModel& from, const AdaptedModel& to) {
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : trained_tensors(from)) values.push_back(tensor);
  put_trained_tensors(to, values);
}

void write_peft(const fs::path& directory, const AdaptedModel& adapted, const std::string& base_model,
                const std::function<void(size_t bytes)>& on_tensor) {
  write_safetensors(directory / kPeftWeightsFile, trained_tensors(adapted), {{"format", "pt"}}, on_tensor);
  write_file_atomically(directory / kPeftConfigFile, peft_config_text(adapted, base_model));
  write_labels(directory, adapted.model->config().labels);
}

void load_trained_tensors(const fs::path& path, const AdaptedModel& adapted) { load_tensors(path, adapted, {}); }

void load_peft_weights(const fs::path& directory, const AdaptedModel& adapted) {
  const auto [config, base_model, task] = read_peft_config(directory, adapted.config.ignored_options);
  if (task == "SEQ_CLS" && !adapted.model->score) {
    throw ModelError(directory.string() + ": is a classifier's adapter; expected one of a language model");
  }
  expect_same_meaning(directory.string(), config, adapted);
  expect_peft_weights(directory);
  load_tensors(directory / kPeftWeightsFile, adapted, initial_halves(config, adapted));
}

}  // namespace lora
