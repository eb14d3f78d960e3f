#include "lora/data/chat.h"

#include <algorithm>
#include <map>

#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDeepestMessage = 100;

// The roles that templates know. Others are refused, because a role from data could spell a special token.
const std::vector<std::string>& roles() {
  static const std::vector<std::string> known = {"system", "user", "assistant", "tool", "function", "ipython"};
  return known;
}

// Other names of roles.
std::string mapped_role(const std::string& role) {
  static const std::map<std::string, std::string> names = {
      {"human", "user"},       {"gpt", "assistant"},           {"chatgpt", "assistant"}, {"bot", "assistant"},
      {"bing", "assistant"},   {"bard", "assistant"},          {"model", "assistant"},   {"prompter", "user"},
      {"developer", "system"}, {"function_call", "assistant"}, {"observation", "tool"},  {"function_response", "tool"}};
  const auto found = names.find(role);
  return found == names.end() ? role : found->second;
}

// Refuses deep values: they would exhaust the stack of code that traverses them.
void expect_shallow(const Json& value, const std::string& where, int depth = 0) {
  if (depth > kDeepestMessage)
    throw DataError(where + ": nested more than " + std::to_string(kDeepestMessage) + " deep");
  if (!value.is_structured()) return;
  for (const auto& item : value) expect_shallow(item, where, depth + 1);
}

class MessageReader {
 public:
  explicit MessageReader(std::string where) : where_(std::move(where)) {}

  ChatMessage read(const Json& given, const char* role_key, const char* content_key) const {
    if (!given.is_object()) fail(std::string("found ") + given.type_name() + ", expected an object");
    expect_shallow(given, where_);
    ChatMessage message{.fields = Json::object()};
    message.fields["role"] = role(given, role_key);
    message.fields["content"] = content(given, content_key);
    for (const auto& item : given.items()) {
      if (item.key() == role_key || item.key() == content_key || item.value().is_null()) continue;
      if (item.key() == "weight" || item.key() == "train") {
        message.trained = trained(item.key(), item.value());
      } else {
        message.fields[item.key()] = item.key() == "tool_calls" ? tool_calls(item.value()) : item.value();
      }
    }
    if (!message.trained && message.role() != "assistant") message.trained = true;  // excludes nothing
    return message;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const { throw DataError(where_ + ": " + message); }

  std::string role(const Json& given, const char* key) const {
    const auto found = given.find(key);
    if (found == given.end()) fail(std::string("no '") + key + "'");
    if (!found->is_string()) fail(std::string("'") + key + "' is " + found->type_name() + ", expected text");
    const std::string role = mapped_role(found->get<std::string>());
    if (std::ranges::count(roles(), role) > 0) return role;
    fail("unknown role '" + found->get<std::string>().substr(0, 60) + "'" + did_you_mean(role, roles()) +
         "; expected system, user, assistant or tool");
  }

  std::string content(const Json& given, const char* key) const {
    const auto found = given.find(key);
    if (found == given.end() || found->is_null()) {
      if (given.contains("tool_calls")) return "";
      fail(std::string("no '") + key + "'");
    }
    if (found->is_string()) return found->get<std::string>();
    if (!found->is_array()) fail(std::string("'") + key + "' is " + found->type_name() + ", expected text");
    std::string text;
    for (const auto& part : *found) {
      const auto type = part.is_object() ? part.find("type") : part.end();
      const auto words = part.is_object() ? part.find("text") : part.end();
      if (!part.is_object() || (type != part.end() && *type != "text") || words == part.end() || !words->is_string()) {
        fail(std::string("'") + key + "' has a part that is not text, and this trains on text alone");
      }
      text += words->get<std::string>();
    }
    return text;
  }

  bool trained(const std::string& key, const Json& value) const {
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_number() && (value.get<double>() == 0 || value.get<double>() == 1)) return value.get<double>() == 1;
    fail("'" + key + "' is " + value.dump() + ", expected 0 or 1");
  }

  Json tool_calls(Json calls) const {
    if (!calls.is_array()) fail(std::string("'tool_calls' is ") + calls.type_name() + ", expected a list");
    for (auto& call : calls) {
      if (!call.is_object()) fail(std::string("'tool_calls' holds ") + call.type_name() + ", expected objects");
      Json& function = call.contains("function") && call["function"].is_object() ? call["function"] : call;
      const auto arguments = function.find("arguments");
      if (arguments == function.end() || !arguments->is_string()) continue;
      const Json parsed = Json::parse(arguments->get_ref<const std::string&>(), nullptr, false);
      if (!parsed.is_object()) continue;
      expect_shallow(parsed, where_);
      *arguments = parsed;
    }
    return calls;
  }

  const std::string where_;
};

std::vector<ChatMessage> read_all(const Json& list, const std::string& where, const char* name, const char* role_key,
                                  const char* content_key) {
  if (!list.is_array()) {
    throw DataError(where + ": '" + name + "' is " + list.type_name() + ", expected a list of messages");
  }
  if (list.empty()) throw DataError(where + ": '" + std::string(name) + "' is empty, expected at least one message");
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    const MessageReader reader(where + ": " + name + "[" + std::to_string(i) + "]");
    messages.push_back(reader.read(list[i], role_key, content_key));
  }
  return messages;
}

}  // namespace

ChatMessage chat_message(const std::string& role, const std::string& content) {
  return {.fields = {{"role", role}, {"content", content}}};
}

std::vector<ChatMessage> read_messages(const Json& list, const std::string& where) {
  return read_all(list, where, "messages", "role", "content");
}

std::vector<ChatMessage> read_sharegpt(const Json& list, const std::string& where) {
  return read_all(list, where, "conversations", "from", "value");
}

Json read_tools(const Json& value, const std::string& where) {
  if (value.is_null()) return nullptr;
  const Json tools = value.is_string() ? Json::parse(value.get_ref<const std::string&>(), nullptr, false) : value;
  const bool objects =
      tools.is_array() && std::ranges::all_of(tools, [](const Json& tool) { return tool.is_object(); });
  if (!objects) throw DataError(where + ": 'tools' is not a list of JSON schemas");
  expect_shallow(tools, where);
  return tools.empty() ? Json(nullptr) : tools;
}

std::string plain_text(const std::vector<ChatMessage>& messages) {
  std::string text;
  for (const ChatMessage& message : messages) text += (text.empty() ? "" : "\n") + message.content();
  return text;
}

}  // namespace lora
