#pragma once
// How often the sources of a recipe are seen: its `data.mixing`.

#include <string>

namespace lora {

struct MixingConfig {
  // concatenate: an epoch passes over each source as often as its `epochs` says.
  // weights: an epoch is as large as all sources together, and of it each source has a share by its `weight`.
  // temperature: as weights, the share being as (weight · size)^(1/temperature): 1 as large as the sources are, above
  // it nearer to equal.
  std::string strategy = "concatenate";
  std::string by = "samples";  // what shares and sizes count: samples | tokens
  double temperature = 1.0;
  bool operator==(const MixingConfig&) const = default;
};

}  // namespace lora
