#pragma once
// Several named adapters over one base, one of them active at a time.
//
// An adapter's layers hold the base's Linears, so what switching takes is to put other layers into the network's places
// for them: microseconds, no weight is copied, and the base is in memory once. A module that an adapter trains whole
// (modules_to_save) has its own weights in place of the base's for as long as the adapter is active. Everything that
// works on a model – training, merging, export, generation – works on the active adapter.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/config.h"
#include "lora/adapters/inject.h"
#include "models/network/decoder.h"

namespace lora {

// Used by one thread. Names are those of adapter_name.h; one that is not there is an Error (exit code 2) that lists
// those that are.
class AdapterSet {
 public:
  // `model` is the bare base and has to outlive the set; nobody else may replace its layers.
  explicit AdapterSet(LlamaForCausalLM& model) : model_(model), base_embedding_(model.model->embed_tokens) {}

  // Injects an adapter into the bare base (see inject.h; an init_from that does not fit the base is refused there) and
  // leaves it active. Where this throws, the bare base is active. Error (exit code 2) for a name that is taken or that
  // is none, and for method full, which would train the base itself.
  const Adaptation& add(const std::string& name, const AdapterConfig& config, uint64_t seed, bool fresh = true);

  void activate(const std::string& name);
  // Leaves the bare base.
  void deactivate();
  const std::string& active() const { return active_; }  // empty: the bare base

  bool contains(const std::string& name) const;
  std::vector<std::string> names() const;  // in the order they were added
  const Adaptation& adaptation(const std::string& name) const { return at(name).adaptation; }
  const AdapterConfig& config(const std::string& name) const { return at(name).config; }
  // Whether all that the adapter changes are projections within the decoder layers.
  bool only_adapts_layers(const std::string& name) const;
  LlamaForCausalLM& model() const { return model_; }

 private:
  struct Place {  // of a Linear that the adapter has another for
    std::shared_ptr<LinearHost> host;
    std::string path, name;
    std::shared_ptr<Linear> base, own;
  };
  struct Whole {              // a parameter that the adapter has other values for
    at::Tensor handle;        // the network's
    at::Tensor values, grad;  // the adapter's while the base's are in the network, else the base's
    bool requires_grad;       // likewise
  };
  struct Entry {
    std::string name;
    AdapterConfig config;
    Adaptation adaptation;
    std::vector<Place> places;
    std::vector<Whole> wholes;
    std::shared_ptr<Embedding> embedding;  // in place of the base's; null: none
    std::shared_ptr<Linear> head;          // where the base's is tied; null: as the base has it
  };
  struct Bare;

  static void exchange(Whole& whole);
  Entry& at(const std::string& name) const;

  LlamaForCausalLM& model_;
  std::shared_ptr<Embedding> base_embedding_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::string active_;
};

}  // namespace lora
