#include "lora/adapters/combine.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "lora/adapters/matcher.h"
#include "lora/adapters/merge_tensors.h"
#include "lora/adapters/methods/lora.h"
#include "models/base/error.h"

namespace lora {
namespace {

[[noreturn]] void fail(const std::string& message) { throw Error(ExitCode::kRecipe, "combine", message); }

// One adapter's update of one module, scale · b · a, with the weight it has in the sum.
struct Update {
  std::string adapter;
  at::Tensor a, b;  // (r, in) and (out, r) float32
  double scale, weight;
};
struct Factors {
  at::Tensor a, b;  // (R, in) and (out, R): the update is b · a
};

const CombinationType& checked_type(const CombineOptions& options) {
  const CombinationType* type = find_row(combination_types(), options.type);
  if (!type) fail("there is no combination type '" + options.type + "'" + name_hint(combination_names(), options.type));
  const bool prunes = type->prune != Prune::kNone;
  if (prunes && !options.density) {
    fail(type->name + " needs a density: the share of values that stays, such as 0.5");
  }
  if (!prunes && options.density) fail("a density is for types that prune, and " + type->name + " does not");
  if (options.density && !(*options.density > 0 && *options.density <= 1)) {
    fail("density is " + std::to_string(*options.density) + "; expected more than 0 and at most 1");
  }
  if (options.svd_rank && !type->cut) {
    fail("a rank can be asked for with the svd types alone, not " + type->name);
  }
  if (options.svd_rank.value_or(1) < 1) {
    fail("the rank is " + std::to_string(*options.svd_rank) + "; expected at least 1");
  }
  return *type;
}

Update update_of(const AdaptedModule& module, const AdapterConfig& config, const std::string& adapter, double weight) {
  if (const auto update = module.layer->update()) return {adapter, update->a, update->b, update->scaling, weight};
  fail("adapter '" + adapter + "' is of method " + config.method +
       ", whose update is not a product of two factors; merge it into the base first (lora-export --format "
       "huggingface)");
}

// path -> the updates of it, of the adapters in order.
using Updates = std::map<std::string, std::vector<Update>>;

Updates collect(const AdapterSet& set, const WeightedNames& weighted) {
  Updates updates;
  std::set<std::string> seen;
  for (const auto& [name, weight] : weighted) {
    const AdaptedModel& adapted = set.adapted(name);
    if (!seen.insert(name).second) fail("adapter '" + name + "' is named twice");
    if (!std::isfinite(weight)) fail("the weight of adapter '" + name + "' is not finite");
    if (!adapted.saved_modules.empty()) {
      fail("adapter '" + name + "' trains '" + adapted.saved_modules.front() +
           "' whole (modules_to_save), which has no weighted sum with the others; merge it into the base first");
    }
    if (adapted.embedding || !adapted.biases.empty() || adapted.config.lora_bias) {
      fail("adapter '" + name + "' changes " + (adapted.embedding ? "the embedding" : "biases") +
           ", of which there are no weighted sums here; merge it into the base first");
    }
    for (const AdaptedModule& module : adapted.modules) {
      if (module.layer->rank() == 0) continue;  // AdaLoRA left nothing of it
      updates[module.path].push_back(update_of(module, adapted.config, name, weight));
    }
  }
  return updates;
}

void expect_equal_ranks(const std::string& path, const std::vector<Update>& updates, const std::string& type) {
  for (const Update& update : updates) {
    if (update.a.size(0) == updates.front().a.size(0)) continue;
    fail(type + " needs adapters of one rank: at '" + path + "' '" + updates.front().adapter + "' has " +
         std::to_string(updates.front().a.size(0)) + " and '" + update.adapter + "' " +
         std::to_string(update.a.size(0)) + "; cat and svd take any");
  }
}

Factors stacked(const std::vector<Update>& updates) {
  std::vector<at::Tensor> a, b;
  for (const Update& update : updates) {
    a.push_back(update.a * (update.weight * update.scale));
    b.push_back(update.b);
  }
  return {at::cat(a), at::cat(b, 1)};
}

// b · a = Q_b (R_b R_aᵀ) Q_aᵀ: its singular values are those of a matrix as small as the rank.
Factors cut(const Factors& sum, int64_t rank) {
  const auto [qb, rb] = at::linalg_qr(sum.b.to(at::kDouble));
  const auto [qa, ra] = at::linalg_qr(sum.a.t().to(at::kDouble));
  const auto [u, s, vh] = at::linalg_svd(rb.mm(ra.t()), /*full_matrices=*/false);
  const int64_t kept = std::min(rank, s.size(0));
  return {vh.narrow(0, 0, kept).mm(qa.t()).to(at::kFloat),
          qb.mm(u.narrow(1, 0, kept) * s.narrow(0, 0, kept)).to(at::kFloat)};
}

Factors cut(const at::Tensor& whole, int64_t rank) {
  const auto [u, s, vh] = at::linalg_svd(whole, /*full_matrices=*/false);
  const int64_t kept = std::min(rank, s.size(0));
  return {vh.narrow(0, 0, kept).contiguous(), u.narrow(1, 0, kept) * s.narrow(0, 0, kept)};
}

Factors merged_factors(const std::vector<Update>& updates, const MergeRule& rule, at::Generator& generator) {
  std::vector<at::Tensor> a, b;
  std::vector<double> weights_a, weights_b;
  for (const Update& update : updates) {
    const double weight = update.weight * update.scale, root = std::sqrt(std::abs(weight));
    a.push_back(update.a);
    b.push_back(update.b);
    weights_a.push_back(weight < 0 ? -root : root);
    weights_b.push_back(root);
  }
  const at::Tensor merged_a = merge_tensors(a, weights_a, rule, generator);
  return {merged_a, merge_tensors(b, weights_b, rule, generator)};
}

at::Tensor merged_whole(const std::vector<Update>& updates, const MergeRule& rule, at::Generator& generator) {
  std::vector<at::Tensor> deltas;
  std::vector<double> weights;
  for (const Update& update : updates) {
    deltas.push_back(update.b.mm(update.a) * update.scale);
    weights.push_back(update.weight);
  }
  return merge_tensors(deltas, weights, rule, generator);
}

// ‖b · a‖, Frobenius: of the triangles, so that no square is taken of what may nearly cancel.
double norm(const Factors& f) {
  const auto [qb, rb] = at::linalg_qr(f.b.to(at::kDouble), "r");
  const auto [qa, ra] = at::linalg_qr(f.a.t().to(at::kDouble), "r");
  return rb.mm(ra.t()).norm().item<double>();
}

Factors difference(const Factors& x, const Factors& y) { return {at::cat({x.a, y.a}), at::cat({x.b, -y.b}, 1)}; }

// Names such as q_proj where these mean just the modules, else the modules' paths.
std::vector<std::string> target_names(const LlamaForCausalLM& model, const std::set<std::string>& paths) {
  std::set<std::string> names;
  for (const std::string& path : paths) names.insert(path.substr(path.rfind('.') + 1));
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    const bool linear = std::dynamic_pointer_cast<Linear>(item.value()) != nullptr;
    const bool named =
        std::ranges::any_of(names, [&](const auto& name) { return is_name_or_suffix(item.key(), name); });
    if (linear && named && !paths.contains(item.key())) return {paths.begin(), paths.end()};
  }
  return {names.begin(), names.end()};
}

std::string escaped(const std::string& path) {
  std::string pattern;
  for (const char c : path) pattern += c == '.' ? "\\." : std::string(1, c);
  return pattern;
}

}  // namespace

const std::vector<CombinationType>& combination_types() {
  using enum Combines;
  static const std::vector<CombinationType> types = {
      {"cat", kStacked},
      {"svd", kStacked, true},
      {"linear", kFactors},
      {"ties", kFactors, false, Prune::kSmallest, true},
      {"dare_linear", kFactors, false, Prune::kRandom},
      {"dare_ties", kFactors, false, Prune::kRandom, true},
      {"magnitude_prune", kFactors, false, Prune::kSmallest},
      {"ties_svd", kProducts, true, Prune::kSmallest, true},
      {"dare_linear_svd", kProducts, true, Prune::kRandom},
      {"dare_ties_svd", kProducts, true, Prune::kRandom, true},
      {"magnitude_prune_svd", kProducts, true, Prune::kSmallest},
  };
  return types;
}

const Names& combination_names() {
  static const Names names = with_rows({}, combination_types());
  return names;
}

CombinedAdapter combine(AdapterSet& set, const WeightedNames& weighted, const CombineOptions& options) {
  const at::NoGradGuard no_grad;
  const CombinationType& type = checked_type(options);
  if (weighted.empty()) fail("no adapters were named");
  const Updates updates = collect(set, weighted);
  if (updates.empty()) fail("the adapters change nothing");
  set.deactivate();
  const LlamaForCausalLM& model = *set.model();

  int64_t largest = 0;
  for (const auto& [path, list] : updates) {
    for (const Update& update : list) largest = std::max(largest, update.a.size(0));
  }
  const MergeRule rule{type.prune, type.elects, options.density.value_or(1.0), options.majority_sign};
  const int64_t rank = options.svd_rank.value_or(largest);
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  CombinedAdapter combined;
  double errors = 0, sums = 0;
  std::map<std::string, Factors> results;
  std::map<std::string, AdaptedModule> places;
  for (const auto& [name, weight] : weighted) {
    for (const AdaptedModule& module : set.adapted(name).modules) places.emplace(module.path, module);
  }
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {  // in the model's order
    const auto found = updates.find(item.key());
    if (found == updates.end()) continue;
    const std::vector<Update>& list = found->second;
    const Factors sum = stacked(list);
    Factors result = sum;
    if (type.combines == Combines::kStacked && type.cut) {
      result = cut(sum, rank);
    } else if (type.combines == Combines::kProducts) {
      result = cut(merged_whole(list, rule, generator), rank);
    } else if (type.combines == Combines::kFactors) {
      expect_equal_ranks(item.key(), list, type.name);
      result = merged_factors(list, rule, generator);
    }
    const double whole = norm(sum), missed = norm(difference(result, sum));
    combined.modules.push_back({item.key(), result.a.size(0), whole > 0 ? missed / whole : 0});
    errors += missed * missed;
    sums += whole * whole;
    results[item.key()] = result;
  }
  combined.error = sums > 0 ? std::sqrt(errors / sums) : 0;

  combined.adapted.model = set.model();
  combined.adapted = unattached(combined.adapted);
  AdapterConfig& config = combined.adapted.config;
  std::set<std::string> paths;
  config.rank = 0;
  for (const CombinedModule& module : combined.modules) {
    paths.insert(module.path);
    config.rank = std::max(config.rank, module.rank);
  }
  config.alpha = static_cast<double>(config.rank);
  config.target_modules = target_names(model, paths);
  for (const CombinedModule& module : combined.modules) {
    const auto alpha = static_cast<double>(module.rank);
    if (module.rank != config.rank) {
      config.rank_pattern.emplace_back(escaped(module.path), module.rank);
      config.alpha_pattern.emplace_back(escaped(module.path), alpha);
    }
    const AdaptedModule& place = places.at(module.path);
    const auto layer =
        std::make_shared<LoraLinear>(place.layer->base_layer(), LayerOptions{config, module.rank, alpha, 0});
    layer->lora_A.copy_(results[module.path].a);
    layer->lora_B.copy_(results[module.path].b);
    combined.adapted.modules.push_back({module.path, layer, place.host});
    combined.adapted.trainable_parameters += layer->lora_A.numel() + layer->lora_B.numel();
  }
  for (const at::Tensor& parameter : model.parameters()) combined.adapted.total_parameters += parameter.numel();
  combined.adapted.total_parameters += combined.adapted.trainable_parameters;
  return combined;
}

}  // namespace lora
