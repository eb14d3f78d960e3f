#pragma once
// A conversation in the form that a chat template reads.

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace lora {

struct ChatMessage {
  nlohmann::ordered_json fields;  // an object with at least the texts `role` and `content`; also tool_calls and others
  bool trained = true;            // false: an answer that is not trained: it has `weight: 0`, or is of a prompt
  nlohmann::ordered_json text_calls = {};  // tool_calls with arguments as JSON text, if the row has them so; or null
  bool masked = false;                     // has `weight: 0`, whatever its role: not trained by train_on `all` either

  const std::string& role() const { return fields.at("role").get_ref<const std::string&>(); }
  const std::string& content() const { return fields.at("content").get_ref<const std::string&>(); }
};

struct Chat {
  std::vector<ChatMessage> messages;
  nlohmann::ordered_json tools = {};  // a list of JSON schemas, or null
};

ChatMessage chat_message(const std::string& role, const std::string& content);

// The names of the field with a message's reasoning. The first that a message has counts.
const std::vector<std::string>& reasoning_fields();

// The bytes [first, second) of the message's content that are reasoning: <think>…</think> of an answer, with the marks.
// The prompt may have written <think>.
std::pair<size_t, size_t> reasoning_in(const ChatMessage& message);

// Reads a list of messages: OpenAI's {role, content, …} or ShareGPT's {from, value, …}, with the roles user or human,
// assistant or gpt, … `weight: 0`, `train: false` and the same under other tools' names mark an answer that is not
// trained. Content in text parts is joined, null content becomes "", and arguments of tool calls that are JSON text are
// parsed, as most templates expect; `text_calls` keeps the text. Other nulls are dropped, as in transformers.
// `developer` becomes `system`. A message of role tool_call or function_call that holds a call as JSON, {name,
// arguments}, becomes the assistant's tool_calls, in one message with the assistant's words before it. OpenAI's earlier
// `function_call` becomes tool_calls too.
// Throws DataError "WHERE: NAME[2]: …" for a malformed conversation, an unknown role, a part that is not text, a number
// beyond 64 bits, and a mark that cannot be followed, such as axolotl's `train_detail`.
std::vector<ChatMessage> read_messages(const nlohmann::ordered_json& list, const std::string& where,
                                       const std::string& name = "messages");

// Reads a list of tools, or JSON text of one. Returns null if there are none.
nlohmann::ordered_json read_tools(const nlohmann::ordered_json& value, const std::string& where);

// How many messages both lists begin with.
size_t shared_messages(const std::vector<ChatMessage>& a, const std::vector<ChatMessage>& b);

// The contents and the calls without roles, each on a line: for cleaning and reports.
std::string plain_text(const std::vector<ChatMessage>& messages);

// "get_time, get_weather": of read_tools(), for cleaning and reports.
std::string tool_names(const nlohmann::ordered_json& tools);

}  // namespace lora
