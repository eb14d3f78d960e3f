#include <algorithm>

#include "lora/data/formats/chats.h"
#include "models/base/error.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

Example of_texts(const DataRow& row, const std::string& answer) {
  const std::string prompt = row.text("prompt"), input = row.optional_text("input");
  return prompt_example(row, input.empty() ? prompt : prompt + "\n\n" + input, row.text(answer));
}

Example of_messages(const DataRow& row, const std::string& answer) {
  const Json prompt = row.optional_value("prompt");
  Json messages = prompt.is_null() ? Json::array() : prompt;
  if (prompt.is_string()) messages = Json::array({{{"role", "user"}, {"content", prompt}}});
  if (!messages.is_array())
    throw DataError(row.where() + ": 'prompt' is " + prompt.type_name() + ", expected messages or text");
  const Json turns = row.value(answer);
  // The prompt may be in them too, as in UltraFeedback.
  if (turns.size() > messages.size() && std::equal(messages.begin(), messages.end(), turns.begin())) messages.clear();
  for (const Json& message : turns) messages.push_back(message);
  Chat chat{read_messages(messages, row.where()), read_tools(row.optional_value("tools"), row.where())};
  add_system(system_of(row), chat, row);
  if (chat.messages.back().role() != "assistant") {
    throw DataError(row.where() + ": '" + answer + "' ends with the " + chat.messages.back().role() +
                    "'s words, expected an answer");
  }
  return chat_example(std::move(chat));
}

// A prompt, a chosen and a rejected answer: texts (then `input` may continue the prompt), or lists of messages, which
// may have the prompt in them. Throws DataError where the two are answers to different prompts.
Example make_preference(const DataRow& row) {
  const bool messages = row.value("chosen").is_array();
  if (messages != row.value("rejected").is_array()) {
    throw DataError(row.where() + ": of 'chosen' and 'rejected' one is text and one is messages");
  }
  const auto make = messages ? of_messages : of_texts;
  Example example = make(row, "chosen");
  example.rejected = std::make_shared<const Example>(make(row, "rejected"));
  if (example.prompt != example.rejected->prompt) {
    throw DataError(row.where() + ": 'chosen' and 'rejected' are answers to different prompts");
  }
  return example;
}

}  // namespace

Format preference_format() {
  return {.name = "preference",
          .columns = {"prompt", "input", "chosen", "rejected", "tools", "system", "system_prompt"},
          .make = make_preference,
          .optional = {"prompt", "input", "tools", "system", "system_prompt"},
          .turns = Turns::kAlways,
          .trains = Trains::kPair,
          .elsewhere = {"dpo"}};
}

}  // namespace lora
