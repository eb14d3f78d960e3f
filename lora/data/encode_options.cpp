#include "lora/data/encode_options.h"

#include <algorithm>

#include "lora/data/chat_template.h"
#include "lora/data/format.h"
#include "lora/data/spelled_tokens.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {
namespace {

std::string as_text_note(const ChatTemplate& chat_template, const Tokenizer& tokenizer) {
  constexpr size_t kShown = 4;
  const std::vector<std::string> names = names_without_token(chat_template, tokenizer);
  if (names.empty()) return "";
  return "; its " + listed(names, kShown) + (names.size() == 1 ? " is not a token" : " are not tokens") +
         " of this tokenizer, but text of several tokens";
}

}  // namespace

EncodeOptions encode_options(const DataConfig& data, const DataSource& source, const Tokenizer& tokenizer,
                             int64_t max_length) {
  const Format& format = format_of(source);
  if (const std::string problem = train_on_problem(format, source, data.trains); !problem.empty()) {
    throw RecipeError("data: " + source.path + ": " + problem);
  }
  EncodeOptions options{.max_length = max_length,
                        .trains = data.trains,
                        .train_on = source.train_on.value_or(data.train_on),
                        .overlong = data.overlong,
                        .allow_special_tokens = data.allow_special_tokens};
  if (options.train_on == TrainOn::kChosen) options.train_on = TrainOn::kAssistant;  // the one answer that is kept
  if (options.trains == Trains::kPair) options.train_on = TrainOn::kAssistant;
  if (options.trains == Trains::kMark) options.train_on = TrainOn::kLastTurn;
  const std::string& chosen = source.chat_template.empty() ? data.chat_template : source.chat_template;
  options.chat_for_prompts = format.turns != Turns::kNever && chosen != "auto";
  if (format.turns == Turns::kAlways || options.chat_for_prompts) options.chat = find_chat_template(chosen, tokenizer);
  if (!options.chat && !format.own_template.empty()) {
    options.own_chat = find_chat_template(format.own_template, tokenizer);
  }
  return options;
}

std::string to_key(const EncodeOptions& options) {
  return "max_length=" + std::to_string(options.max_length) +
         " trains=" + std::to_string(static_cast<int>(options.trains)) +
         " train_on=" + std::to_string(static_cast<int>(options.train_on)) +
         " overlong=" + std::to_string(static_cast<int>(options.overlong)) +
         " allow_special_tokens=" + std::to_string(static_cast<int>(options.allow_special_tokens)) +
         " chat_for_prompts=" + std::to_string(static_cast<int>(options.chat_for_prompts)) +
         " chat=" + (options.chat ? options.chat->key() : "none") +
         " own_chat=" + (options.own_chat ? options.own_chat->key() : "none");
}

std::shared_ptr<const ChatTemplate> trained_template(const DataConfig& data, const std::vector<DataSource>& sources,
                                                     const Tokenizer& tokenizer) {
  for (const DataSource& source : sources) {
    if (auto chat = encode_options(data, source, tokenizer, 2).chat) return chat;
  }
  return nullptr;
}

std::string templates_line(const DataConfig& data, const std::vector<DataSource>& sources, const Tokenizer& tokenizer) {
  std::vector<std::string> names;
  std::string line;
  for (const DataSource& source : sources) {
    const EncodeOptions options = encode_options(data, source, tokenizer, 2);
    if (!options.chat || std::ranges::count(names, options.chat->name()) > 0) continue;
    names.push_back(options.chat->name());
    line += (line.empty() ? "" : "; ") + names.back() + as_text_note(*options.chat, tokenizer);
  }
  return line;
}

}  // namespace lora
