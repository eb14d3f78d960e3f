#pragma once
// What lora-generate and lora-serve begin with: one base, and adapters by name on it.

#include <map>
#include <string>
#include <vector>

#include "lora/adapters/adapter_set.h"
#include "lora/app/source/trained_model.h"

namespace lora {

struct AdaptedBaseOptions {
  std::string model;                           // a model's directory, or a run or adapter on its own base
  std::vector<std::string> adapters;           // PATH or NAME=PATH
  std::vector<std::string> ignored_options;    // see read_peft_config()
  std::string dtype = "auto", device = "cpu";  // device: see device_for() in trained_model.h
  std::string quantization = "auto";           // auto, or one of quantization_names()
};

struct AdaptedBase {
  TrainedModel shared;  // the base, in evaluation mode, and its tokenizer with the tokens that an adapter adds
  AdapterSet set;       // the bare base is active
  std::string model;    // the base's directory, or the run that trained all of it
  // The chat template as data.template names one: by an adapter's name, and of the base under "".
  std::map<std::string, std::string> templates;
};

// A run or adapter as `model` becomes the first adapter, on its own base; a run that trained the whole network is a
// model of its own. `auto` is then as the run's recipe says, else config.json's dtype and no quantization. Throws
// ModelError for what is not there or is a classifier, AdapterError for two adapters of one name, or two that add tokens.
AdaptedBase load_adapted_base(const AdaptedBaseOptions& options);

// Adds one more, from NAME=PATH or PATH; returns its name. Leaves the bare base active.
std::string add_adapter_to(AdaptedBase& base, const std::string& argument,
                           const std::vector<std::string>& ignored_options = {});

}  // namespace lora
