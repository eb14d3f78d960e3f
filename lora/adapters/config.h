#pragma once
// What to adapt and how: the plain form of a recipe's `adapter` section and of PEFT's adapter_config.json.

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "models/base/may_be_empty.h"
#include "models/base/names.h"

namespace lora {

// Which biases are trained: none, all of them, or those of the adapted layers.
enum class Bias { kNone, kAll, kLoraOnly };
inline const Names& names_of(Bias) {
  static const Names names = {{"none", "all", "lora_only"}, {{"lora", "lora_only"}, {"false", "none"}}};
  return names;
}

// `all-linear`: every Linear but the output head.
struct AllLinear : MayBeEmpty {
  bool operator==(const AllLinear&) const = default;
};
// A list matches a module's whole path or a dotted suffix of it; a string is a regular expression over the whole path.
using ModulePatterns = std::variant<std::vector<std::string>, std::string, AllLinear>;

// The budget schedule of method adalora, with PEFT's names (deltaT apart) and defaults. Steps are optimizer steps.
struct AdaLoraConfig {
  int64_t target_r = 8;          // mean rank of a module at the end; AdapterConfig::rank is the one to begin with
  int64_t tinit = 0;             // steps before the first pruning
  int64_t tfinal = 0;            // steps after the last
  int64_t delta_t = 1;           // steps from one pruning to the next
  double beta1 = 0.85;           // of the moving average of sensitivity
  double beta2 = 0.85;           // of its uncertainty's
  double orth_reg_weight = 0.5;  // of the orthogonality term in the loss
  int64_t total_step = 0;        // of the run, which fills it in; no key of a recipe
  bool operator==(const AdaLoraConfig&) const = default;
};

struct AdapterConfig {
  // The adapter_config.json that this was read from; empty: it is a recipe's. A name in a file that matches nothing is
  // a note (AdaptedModel::notes): files list the modules of several models. In a recipe it is an error.
  std::string file;
  std::string method = "lora";  // a name of methods() in registry.h
  int64_t rank = 8;
  double alpha = 16;
  bool use_rslora = false;
  double dropout = 0.0;  // on the input of A, in training only
  ModulePatterns target_modules = std::vector<std::string>{};
  ModulePatterns exclude_modules = std::vector<std::string>{};
  std::vector<int64_t> layers_to_transform;  // empty: all
  std::vector<std::string> layers_pattern;   // what the numbered layers are called; empty: anything
  // Pattern (a dotted suffix, as a regular expression) -> value; the first that matches a module wins.
  std::vector<std::pair<std::string, int64_t>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
  std::vector<std::string> modules_to_save;  // trained whole beside the adapter
  Bias bias = Bias::kNone;
  bool lora_bias = false;  // B has a bias of its own, scaled as B·A is
  // Rows of embed_tokens, and of a head that is tied to it, that are trained while the others stay.
  std::vector<int64_t> trainable_token_indices;
  // A tied head is adapted or trained together with embed_tokens. Where false they part, and a merged model has both.
  bool ensure_weight_tying = true;
  std::string init = "kaiming";  // a name of initial_pairs() in initialise.h
  std::string init_from;         // a PEFT adapter directory to continue from; empty: none
  // Keys of an adapter_config.json that are not known here and that a person says change nothing.
  std::vector<std::string> ignored_options;
  AdaLoraConfig adalora;
  bool operator==(const AdapterConfig&) const = default;
};

// s in W + s·B·A: α/r (Hu et al. 2021, §4.1), or α/√r with use_rslora (Kalajdzievski 2023, theorem 3.2), where the
// update's size does not fall as the rank grows.
inline double lora_scaling(const AdapterConfig& config, int64_t rank, double alpha) {
  return alpha / (config.use_rslora ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank));
}

}  // namespace lora
