#include "lora/data/encode_options.h"

#include <algorithm>

#include "lora/data/chat_template.h"
#include "lora/data/format.h"
#include "models/base/error.h"

namespace lora {
namespace {

TrainOn train_on(const std::string& name) {
  if (name == "assistant" || name == "chosen") return TrainOn::kAssistant;
  if (name == "all") return TrainOn::kAll;
  if (name == "last_turn") return TrainOn::kLastTurn;
  throw RecipeError("data.train_on: unknown '" + name + "', wanted assistant, all or last_turn");
}

Overlong overlong(const std::string& name) {
  if (name == "truncate") return Overlong::kTruncate;
  if (name == "drop") return Overlong::kDrop;
  if (name == "split") return Overlong::kSplit;
  throw RecipeError("data.overlong: unknown '" + name + "', wanted truncate, drop or split");
}

}  // namespace

EncodeOptions encode_options(const DataConfig& data, const DataSource& source, const Tokenizer& tokenizer,
                             int64_t max_length) {
  EncodeOptions options{.max_length = max_length,
                        .train_on = train_on(source.train_on.empty() ? data.train_on : source.train_on),
                        .overlong = overlong(data.overlong),
                        .allow_special_tokens = data.allow_special_tokens};
  const Format& format = format_of(source);
  if (format.name == "preference" && source.train_on != "chosen") {
    throw RecipeError("data: " + source.path +
                      " has preference pairs, and there is no training on preferences yet; "
                      "train_on: chosen trains on the chosen answers alone");
  }
  if (format.name != "preference" && source.train_on == "chosen") {
    throw RecipeError("data: train_on: chosen is of preference pairs, and " + source.path + " is of format " +
                      format.name);
  }
  const std::string wanted = source.chat_template.empty() ? data.chat_template : source.chat_template;
  options.chat_for_prompts = format.turns != Turns::kNever && wanted != "auto";
  if (format.turns == Turns::kAlways || options.chat_for_prompts) options.chat = find_chat_template(wanted, tokenizer);
  return options;
}

std::string to_key(const EncodeOptions& options) {
  return "max_length=" + std::to_string(options.max_length) +
         " train_on=" + std::to_string(static_cast<int>(options.train_on)) +
         " overlong=" + std::to_string(static_cast<int>(options.overlong)) +
         " allow_special_tokens=" + std::to_string(static_cast<int>(options.allow_special_tokens)) +
         " chat_for_prompts=" + std::to_string(static_cast<int>(options.chat_for_prompts)) +
         " chat=" + (options.chat ? options.chat->key() : "none");
}

std::string templates_line(const DataConfig& data, const std::vector<DataSource>& sources, const Tokenizer& tokenizer) {
  std::vector<std::string> names;
  for (const DataSource& source : sources) {
    const EncodeOptions options = encode_options(data, source, tokenizer, 2);
    if (options.chat && std::ranges::count(names, options.chat->name()) == 0) names.push_back(options.chat->name());
  }
  std::string line;
  for (const std::string& name : names) line += (line.empty() ? "" : "; ") + name;
  return line;
}

}  // namespace lora
