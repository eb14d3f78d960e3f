#pragma once
// How often the sources of a recipe are seen: its `data.mixing`.

#include "models/base/names.h"

namespace lora {

// kConcatenate: an epoch passes over each source as often as its `epochs` says.
// kWeights: an epoch is as large as all sources together; each source's share of it is in proportion to its `weight`.
// kTemperature: as kWeights, but in proportion to (weight · size)^(1/temperature). With temperature 1 shares are as
// large as the sources are; a higher one makes them more equal.
enum class MixingStrategy { kConcatenate, kWeights, kTemperature };
inline const Names& names_of(MixingStrategy) {
  static const Names names = {{"concatenate", "weights", "temperature"},
                              {{"concat", "concatenate"},
                               {"none", "concatenate"},
                               {"interleave", "weights"},
                               {"interleave_under", "weights"},
                               {"interleave_over", "weights"},
                               {"probabilities", "weights"}}};
  return names;
}

// What shares and sizes count.
enum class MixingUnit { kSamples, kTokens };
inline const Names& names_of(MixingUnit) {
  static const Names names = {{"samples", "tokens"}, {{"rows", "samples"}, {"examples", "samples"}}};
  return names;
}

struct MixingConfig {
  MixingStrategy strategy = MixingStrategy::kConcatenate;
  MixingUnit by = MixingUnit::kSamples;
  double temperature = 1.0;
  bool operator==(const MixingConfig&) const = default;
};

}  // namespace lora
