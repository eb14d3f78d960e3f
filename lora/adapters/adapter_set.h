#pragma once
// Several named adapters over one base, one of them active at a time.
//
// An adapter's layers hold the base's Linears, so switching only puts other layers into the network's places: it takes
// microseconds, copies no weight, and the base is in memory once (see attach() and detach() in adapted_model.h). A
// module that an adapter trains whole (modules_to_save) has its own weights in place of the base's while the adapter is
// active. Everything that works on a model (training, merging, export, generation) works on the active adapter.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/adapted_model.h"

namespace lora {

// Used by one thread. Names are those of adapter_name.h; an unknown one is an Error (exit code 2) that lists the known
// ones.
class AdapterSet {
 public:
  // Shares the model, which is the bare base. Nobody else may replace its layers.
  explicit AdapterSet(std::shared_ptr<LlamaForCausalLM> model) : model_(std::move(model)) {}

  // Injects an adapter into the bare base (see inject.h) and leaves it active. Where this throws, the bare base is
  // active. Error (exit code 2) for a name that is taken or not a name, and for a method that trains the base itself.
  const AdaptedModel& add(const std::string& name, const AdapterConfig& config, uint64_t seed, bool fresh = true);

  // Leaves the bare base. The adapter's layers go, unless somebody else holds them.
  void remove(const std::string& name);

  void activate(const std::string& name);
  // Leaves the bare base.
  void deactivate();
  const std::string& active() const { return active_; }  // empty: the bare base

  bool contains(const std::string& name) const;
  std::vector<std::string> names() const;  // in the order they were added
  // Valid as long as the set.
  const AdaptedModel& adapted(const std::string& name) const;
  // Whether all that the adapter changes are projections within the decoder layers.
  bool only_adapts_layers(const std::string& name) const;
  const std::shared_ptr<LlamaForCausalLM>& model() const { return model_; }

 private:
  struct Entry {
    std::string name;
    AdaptedModel adapted;
  };

  std::shared_ptr<LlamaForCausalLM> model_;
  std::vector<std::unique_ptr<Entry>> entries_;  // at places that stay
  std::string active_;
};

}  // namespace lora
