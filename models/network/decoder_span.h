#pragma once
// What a pass of decoding is asked for.

#include <cstdint>
#include <span>
#include <vector>

#include "models/engine/kv_pages.h"

namespace lora {

// A model as it was when this was made: later changes of the network (another adapter, a step of training) are not seen.
// Weights are shared with it, without a copy.
class ModelSnapshot;

// New tokens of a sequence.
struct DecoderSpan {
  KvSequence* sequence;
  std::span<const int64_t> ids;  // at least one, in [0, vocab_size)
  const ModelSnapshot* model;
  int64_t logits;  // how many of the last tokens' logits are wanted
  // (H), or empty: the tokens' hidden states behind the last norm are added to it.
  std::span<double> hidden = {};
};

// The spans with those of one model side by side, in the order in which the models come.
std::vector<const DecoderSpan*> spans_by_model(std::span<const DecoderSpan> asked);

}  // namespace lora
