// config.json of every family, the structure of the layers that it describes, and its labels, which are written and
// read back to the same. No input: there is no such file.

#include "models/network/config.h"
#include "models/network/labels.h"
#include "models/network/layer_structure.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(model_config) {
  const auto& directory = lora::test::input_directory();
  std::filesystem::remove(directory / "config.json");
  if (!input.empty()) lora::test::write_input(directory / "config.json", input);
  const lora::ModelConfig config = lora::read_model_config(directory);
  if (!config.layers.empty()) {
    lora::layer_structure(config, config.layers.front());
    lora::layer_structure(config, config.layers.back());
  }
  std::filesystem::remove(directory / lora::kLabelsFile);
  lora::write_labels(directory, config.labels);
  if (lora::read_labels(directory) != config.labels) ::abort();
}
