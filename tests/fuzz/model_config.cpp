// config.json of every family, and the structure of the layers that it describes.

#include "models/network/config.h"
#include "models/network/layer_structure.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(model_config) {
  const lora::ModelConfig config = lora::parse_model_config(std::string(input), "config.json");
  if (!config.layers.empty()) lora::layer_structure(config, config.layers.front());
}
