#pragma once
// The table of adapter methods. A new one is a file of its own and a line in method.cpp.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "lora/adapters/adapter_linear.h"
#include "lora/adapters/config.h"

namespace lora {

struct Adaptation;
struct AdapterForm;
class TrainingHooks;

// What one layer's adapter is made from.
struct MethodOptions {
  const AdapterConfig& config;
  int64_t rank;       // of this module, after rank_pattern
  double alpha;       // likewise
  uint64_t seed;      // of this module's fresh weights
  bool fresh = true;  // false: weights will be loaded, so that a costly start is left out
};

struct Method {
  // Wraps a frozen Linear.
  std::function<std::shared_ptr<AdapterLinear>(std::shared_ptr<Linear> base, const MethodOptions& options)> wrap;
  // How PEFT's adapter_config.json names the method: its peft_type, and the keys that are true there.
  std::string peft_type = "LORA";
  std::vector<std::string> peft_flags = {};
  // The method's part in the steps of a run of `total_steps`; null: none.
  std::function<std::unique_ptr<TrainingHooks>(const Adaptation& adaptation, const AdapterConfig& config,
                                               int64_t total_steps)>
      hooks = nullptr;
  // What adapter_config.json says of the method beyond LoRA's keys, written and taken out of it; null: nothing.
  std::function<void(nlohmann::ordered_json& file, const Adaptation& adaptation, const AdapterConfig& config)>
      write_config = nullptr;
  std::function<void(nlohmann::json& file, AdapterConfig& config)> take_config = nullptr;
  // Whether a LoraEmbedding stands beside its layers where the embedding is a target.
  bool adapts_embeddings = false;
  // The adapter as others are given it, where that is not the one that is trained; null: as it is.
  std::function<AdapterForm(const Adaptation& adaptation, const AdapterConfig& config)> finished = nullptr;
};

// `adapter.method` -> the method. ("full" trains the network itself and wraps nothing; see inject.h.)
const std::map<std::string, Method>& methods();

// The names that `adapter.method` accepts: those of methods(); rslora, which is lora with another scaling; and full.
const Names& method_names();

// The hooks of config.method, or null. Throws RecipeError where a run of that many steps cannot do what is asked.
std::unique_ptr<TrainingHooks> training_hooks(const Adaptation& adaptation, const AdapterConfig& config,
                                              int64_t total_steps);

}  // namespace lora
