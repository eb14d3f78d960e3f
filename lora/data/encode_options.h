#pragma once
// The resolved options that turn rows of a source into samples.

#include <cstdint>
#include <memory>
#include <string>

#include "lora/data/config.h"
#include "lora/data/tokenizer.h"

namespace lora {

class ChatTemplate;
class SpelledTokens;

struct EncodeOptions {
  int64_t max_length = 0;  // tokens per sample; of a preference pair per prompt with an answer
  Trains trains = Trains::kText;
  TrainOn train_on = TrainOn::kAssistant;
  Overlong overlong = Overlong::kTruncate;
  bool allow_special_tokens = false;
  std::shared_ptr<const ChatTemplate> chat = {};      // renders conversations; null if the source has none
  bool chat_for_prompts = false;                      // also renders prompts and answers as conversations
  std::shared_ptr<const ChatTemplate> own_chat = {};  // renders conversations if `chat` is null
  std::shared_ptr<const SpelledTokens> spelled = {};  // reports names of special tokens that are text in rows
};

// The options of one source of a recipe's data. Its format must be known (not auto). Throws RecipeError for an invalid
// option and ModelError if a chat template is not available.
EncodeOptions encode_options(const DataConfig& data, const DataSource& source, const Tokenizer& tokenizer,
                             int64_t max_length);

// The options as text, for cache keys. Two texts are equal exactly if both options make the same samples of the same
// examples with the same tokenizer.
std::string to_key(const EncodeOptions& options);

// The chat template of the first source (of a known format) whose rows it renders; null if there is none.
std::shared_ptr<const ChatTemplate> trained_template(const DataConfig& data, const std::vector<DataSource>& sources,
                                                     const Tokenizer& tokenizer);

// Describes which chat templates render these sources (of known formats), why, and which of their special names are no
// tokens of the tokenizer; "" if none.
std::string templates_line(const DataConfig& data, const std::vector<DataSource>& sources, const Tokenizer& tokenizer);

}  // namespace lora
