#pragma once
// How the rows of a source are made into samples: what a recipe says, resolved.

#include <cstdint>
#include <string>

#include "lora/data/config.h"

namespace lora {

enum class TrainOn { kAssistant, kAll, kLastTurn };
enum class Overlong { kTruncate, kDrop, kSplit };

struct EncodeOptions {
  int64_t max_length = 0;  // tokens a sample
  TrainOn train_on = TrainOn::kAssistant;
  Overlong overlong = Overlong::kTruncate;
};

// Of one source of a recipe's data.
EncodeOptions encode_options(const DataConfig& data, const DataSource& source, int64_t max_length);

// The options as text: equal where, and only where, they make the same samples of the same examples with the same
// tokenizer. For keys of caches.
std::string to_key(const EncodeOptions& options);

}  // namespace lora
