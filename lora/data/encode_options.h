#pragma once
// How the rows of a source are made into samples: what a recipe says, resolved.

#include <cstdint>
#include <memory>
#include <string>

#include "lora/data/config.h"
#include "lora/data/tokenizer.h"

namespace lora {

class ChatTemplate;

enum class TrainOn { kAssistant, kAll, kLastTurn };
enum class Overlong { kTruncate, kDrop, kSplit };

struct EncodeOptions {
  int64_t max_length = 0;  // tokens a sample
  TrainOn train_on = TrainOn::kAssistant;
  Overlong overlong = Overlong::kTruncate;
  bool allow_special_tokens = false;
  std::shared_ptr<const ChatTemplate> chat = {};  // of conversations; none where the source has none
  bool chat_for_prompts = false;                  // prompts and answers are rendered as conversations too
};

// Of one source of a recipe's data, whose format is known (not auto). Throws RecipeError for what no recipe may say,
// ModelError for a chat template that cannot be had.
EncodeOptions encode_options(const DataConfig& data, const DataSource& source, const Tokenizer& tokenizer,
                             int64_t max_length);

// The options as text: equal where, and only where, they make the same samples of the same examples with the same
// tokenizer. For keys of caches.
std::string to_key(const EncodeOptions& options);

// Which chat templates these sources, of known formats, are rendered by, and why; "" for none.
std::string templates_line(const DataConfig& data, const std::vector<DataSource>& sources, const Tokenizer& tokenizer);

}  // namespace lora
