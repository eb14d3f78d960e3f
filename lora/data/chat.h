#pragma once
// A conversation, as a chat template reads it.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lora {

struct ChatMessage {
  nlohmann::ordered_json fields;  // an object with at least `role` and `content`, which are text; tool_calls and others
  bool trained = true;            // false: `weight: 0`, not trained though it is an answer

  const std::string& role() const { return fields.at("role").get_ref<const std::string&>(); }
  const std::string& content() const { return fields.at("content").get_ref<const std::string&>(); }
};

struct Chat {
  std::vector<ChatMessage> messages;
  nlohmann::ordered_json tools = {};  // a list of JSON schemas; null where there are none
};

ChatMessage chat_message(const std::string& role, const std::string& content);

// A list of OpenAI's messages: {role, content, …}, with `weight: 0` or `train: false` for an answer not to train on.
// Content in parts of text becomes one text, null content "", arguments of tool calls that are JSON in a string become
// that object, as templates want them; other nulls are dropped, as transformers does. `developer` is `system`. Throws
// DataError "WHERE: messages[2]: …" for what is no conversation, has an unknown role or a part that is no text.
std::vector<ChatMessage> read_messages(const nlohmann::ordered_json& list, const std::string& where);

// ShareGPT's: {from, value}, with human, gpt, … for roles.
std::vector<ChatMessage> read_sharegpt(const nlohmann::ordered_json& list, const std::string& where);

// A list of tools, or JSON text of one. Null for none.
nlohmann::ordered_json read_tools(const nlohmann::ordered_json& value, const std::string& where);

// What was said, a line each without roles: for cleaning and reports.
std::string plain_text(const std::vector<ChatMessage>& messages);

}  // namespace lora
