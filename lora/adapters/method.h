#pragma once
// The row of one training method: what it does and what it allows. Whoever needs to know something of a method asks its
// row (registry.h); nobody compares names.

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/adapted_model.h"

namespace lora {

class TrainingHooks;

// An option that a method does not take, by its key in a recipe's `adapter` section, and why.
struct OptionProblem {
  std::string key, reason;
};

// Options of one method alone.
struct OwnOptions {
  std::string section;                                // of a recipe's `adapter` section; empty: none
  std::function<bool(const AdapterConfig&)> are_set;  // whether one differs from its default
};

struct Method {
  std::string name;                         // a recipe's adapter.method
  std::vector<std::string> elsewhere = {};  // what other tools call it, for hints
  // Of a name that stands for another method with an option set (rslora): makes the config that method's. Else null.
  std::function<void(AdapterConfig& config)> resolve = nullptr;

  // What it allows.
  bool trains_network = false;    // trains the network's own weights and has no adapter: nothing is wrapped, the base
                                  // may not be quantized, shared or switched to, and there is no pair for LoRA+
  bool has_lora_bias = false;     // takes lora_bias
  bool starts_from_base = false;  // takes an init that starts from the base's weight
  bool is_baseline = false;       // stands beside every other method in a run's comparison
  OwnOptions own_options = {};
  // The first option of a config that the method does not take; null: it takes all.
  std::function<std::optional<OptionProblem>(const AdapterConfig& config)> problem = nullptr;

  // Wraps a frozen Linear; null for a method that trains the network.
  std::function<std::shared_ptr<AdapterLinear>(std::shared_ptr<Linear> base, const LayerOptions& options)> wrap =
      nullptr;
  // The same for the embedding; null: the embedding cannot be adapted.
  std::function<std::shared_ptr<AdapterEmbedding>(std::shared_ptr<Embedding> base, const LayerOptions& options)>
      wrap_embedding = nullptr;

  // The method's part in the steps of a run of `total_steps`, which it may note in adapted.config; null: none.
  std::function<std::unique_ptr<TrainingHooks>(AdaptedModel& adapted, int64_t total_steps)> hooks = nullptr;
  bool follows_run_length = false;  // whether the length of the run decides what a step does
  // The rank of the LoRA that a run is compared with; null: config.rank.
  std::function<int64_t(const AdapterConfig& config)> compared_rank = nullptr;

  // How PEFT's adapter_config.json names the method: its peft_type, and the keys that are true there.
  std::string peft_type = "LORA";
  std::vector<std::string> peft_flags = {};
  // Ends of the names of a layer's tensors in a file, and what each is: A, B, E, magnitude or bias.
  std::vector<std::pair<std::string, std::string>> file_parts = {};
  // What adapter_config.json says of the method beyond LoRA's keys: written, and taken out of a file. Null: nothing.
  // take_config throws ModelError, or what nlohmann throws for a value of another type.
  std::function<void(nlohmann::ordered_json& file, const AdaptedModel& adapted)> write_config = nullptr;
  std::function<void(nlohmann::ordered_json& file, AdapterConfig& config)> take_config = nullptr;
  // The adapter as an export writes it, where that differs from the trained one: see unattached(). Null: as it is.
  std::function<AdaptedModel(const AdaptedModel& adapted)> finished = nullptr;
  // The plain LoRA adapter that computes the same, for a method whose file is not LoRA's already. Null: none is needed.
  std::function<AdaptedModel(const AdaptedModel& adapted)> as_lora = nullptr;
};

// Method::wrap of a layer class.
template <typename Layer>
std::shared_ptr<AdapterLinear> wrap(std::shared_ptr<Linear> base, const LayerOptions& options) {
  return std::make_shared<Layer>(std::move(base), options);
}

}  // namespace lora
