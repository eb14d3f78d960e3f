#pragma once
// How the rows of a source become samples: what a recipe says, resolved.

#include <cstdint>
#include <memory>
#include <string>

#include "lora/data/config.h"
#include "lora/data/tokenizer.h"

namespace lora {

class ChatTemplate;

struct EncodeOptions {
  int64_t max_length = 0;  // tokens a sample
  TrainOn train_on = TrainOn::kAssistant;
  Overlong overlong = Overlong::kTruncate;
  bool allow_special_tokens = false;
  std::shared_ptr<const ChatTemplate> chat = {};  // renders conversations; null where the source has none
  bool chat_for_prompts = false;                  // prompts and answers are rendered as conversations too
};

// The options of one source of a recipe's data, whose format is known (not auto). Throws RecipeError where the source's
// rows cannot be trained on as it says, ModelError for a chat template that cannot be read.
EncodeOptions encode_options(const DataConfig& data, const DataSource& source, const Tokenizer& tokenizer,
                             int64_t max_length);

// The options as text, for keys of caches. Two texts are equal if and only if the options make the same samples from
// the same examples with the same tokenizer.
std::string to_key(const EncodeOptions& options);

// The names of the chat templates that render these sources, of known formats, with the reasons; "" for none.
std::string templates_line(const DataConfig& data, const std::vector<DataSource>& sources, const Tokenizer& tokenizer);

}  // namespace lora
