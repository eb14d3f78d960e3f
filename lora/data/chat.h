#pragma once
// A conversation in the form that a chat template reads.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lora {

struct ChatMessage {
  nlohmann::ordered_json fields;  // an object with at least the texts `role` and `content`; also tool_calls and others
  bool trained = true;            // false: `weight: 0`; the answer is not trained

  const std::string& role() const { return fields.at("role").get_ref<const std::string&>(); }
  const std::string& content() const { return fields.at("content").get_ref<const std::string&>(); }
};

struct Chat {
  std::vector<ChatMessage> messages;
  nlohmann::ordered_json tools = {};  // a list of JSON schemas, or null
};

ChatMessage chat_message(const std::string& role, const std::string& content);

// Reads a list of OpenAI messages: {role, content, …}. `weight: 0` or `train: false` marks an answer that is not
// trained. Content in text parts is joined, null content becomes "", and arguments of tool calls that are JSON text are
// parsed, as templates expect. Other nulls are dropped, as in transformers. `developer` becomes `system`. Throws
// DataError "WHERE: messages[2]: …" for a malformed conversation, an unknown role, or a part that is not text.
std::vector<ChatMessage> read_messages(const nlohmann::ordered_json& list, const std::string& where);

// Reads ShareGPT messages: {from, value} with the roles human, gpt, …
std::vector<ChatMessage> read_sharegpt(const nlohmann::ordered_json& list, const std::string& where);

// Reads a list of tools, or JSON text of one. Returns null if there are none.
nlohmann::ordered_json read_tools(const nlohmann::ordered_json& value, const std::string& where);

// The contents without roles, one message per line: for cleaning and reports.
std::string plain_text(const std::vector<ChatMessage>& messages);

}  // namespace lora
