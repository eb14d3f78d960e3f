#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lora/data/formats/chats.h"
#include "models/base/error.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

// Without a prompt of its own: the text with which both begin, without a space at its end, as TRL finds it.
size_t implicit_prompt(const std::string& chosen, const std::string& rejected) {
  auto end = static_cast<size_t>(std::ranges::mismatch(chosen, rejected).in1 - chosen.begin());
  while (end > 0 && end < chosen.size() && (static_cast<unsigned char>(chosen[end]) & 0xc0) == 0x80) --end;
  return end > 0 && chosen[end - 1] == ' ' ? end - 1 : end;
}

// The column that has the prompt, under TRL's name or other tools'; empty: there is none.
std::string prompt_column(const DataRow& row) {
  for (const char* column : {"prompt", "instruction", "question", "messages", "conversations"}) {
    if (!row.optional_value(column).is_null()) return column;
  }
  return "";
}

std::pair<Example, Example> of_texts(const DataRow& row) {
  const std::string chosen = row.text("chosen"), rejected = row.text("rejected"), column = prompt_column(row);
  if (column.empty()) {
    const size_t prompt = implicit_prompt(chosen, rejected);
    return {prompt_example(row, chosen.substr(0, prompt), chosen.substr(prompt)),
            prompt_example(row, rejected.substr(0, prompt), rejected.substr(prompt))};
  }
  const std::string asked = row.text(column), input = row.optional_text("input");
  const std::string prompt = input.empty() ? asked : asked + "\n\n" + input;
  return {prompt_example(row, prompt, chosen), prompt_example(row, prompt, rejected)};
}

Chat of_messages(const DataRow& row, const std::string& answer) {
  const std::string column = prompt_column(row);
  const Json prompt = column.empty() ? Json() : row.optional_value(column);
  Json messages = prompt.is_null() ? Json::array() : prompt;
  if (prompt.is_string()) messages = Json::array({{{"role", "user"}, {"content", prompt}}});
  if (!messages.is_array())
    throw DataError(row.where() + ": '" + column + "' is " + prompt.type_name() + ", expected messages or text");
  Json turns = row.value(answer);
  if (turns.is_object()) turns = Json::array({turns});
  // The prompt may be in them too, as in UltraFeedback.
  if (turns.size() > messages.size() && std::equal(messages.begin(), messages.end(), turns.begin())) messages.clear();
  for (const Json& message : turns) messages.push_back(message);
  Chat chat{read_messages(messages, row.where()), read_tools(row.optional_value("tools"), row.where())};
  add_system(system_of(row), chat, row);
  if (chat.messages.back().role() != "assistant") {
    throw DataError(row.where() + ": '" + answer + "' ends with the " + chat.messages.back().role() +
                    "'s words, expected an answer");
  }
  return chat;
}

std::pair<Example, Example> of_conversations(const DataRow& row) {
  const Chat chosen = of_messages(row, "chosen"), rejected = of_messages(row, "rejected");
  const size_t shared = shared_messages(chosen.messages, rejected.messages);
  if (shared == 0) throw DataError(row.where() + ": 'chosen' and 'rejected' are answers to different prompts");
  return {chat_example(chosen), chat_example(rejected)};
}

std::optional<double> margin_of(const DataRow& row) {
  const Json value = row.optional_value("margin");
  if (value.is_null()) return {};
  if (value.is_number() && std::isfinite(value.get<double>())) return value.get<double>();
  throw DataError(row.where() + ": 'margin' is " + value.dump() + ", expected a number");
}

// A prompt, a chosen and a rejected answer: texts (then `input` may continue the prompt), or messages, which may have the
// prompt in them. Without a prompt it is what both begin with. Throws DataError where the two are answers
// to different prompts.
Example make_preference(const DataRow& row) {
  const bool messages = row.value("chosen").is_structured();
  if (messages != row.value("rejected").is_structured()) {
    throw DataError(row.where() + ": of 'chosen' and 'rejected' one is text and one is messages");
  }
  auto [chosen, rejected] = messages ? of_conversations(row) : of_texts(row);
  chosen.margin = margin_of(row);
  chosen.rejected = std::make_shared<const Example>(std::move(rejected));
  return std::move(chosen);
}

}  // namespace

// Of texts.
Format preference_format() {
  return {.name = "preference",
          .columns = {"prompt", "input", "chosen", "rejected", "tools", "system", "system_prompt", "margin",
                      "instruction", "question", "messages", "conversations"},
          .make = make_preference,
          .optional = {"prompt", "input", "tools", "system", "system_prompt", "margin", "instruction", "question",
                       "messages", "conversations"},
          .turns = Turns::kIfAsked,
          .trains = Trains::kPair,
          .elsewhere = {"dpo"},
          .of_messages = "preference_chat"};
}

Format preference_chat_format() {
  Format format = preference_format();
  format.name = "preference_chat";
  format.turns = Turns::kAlways;
  format.elsewhere = {};
  format.of_messages = {};
  return format;
}

}  // namespace lora
