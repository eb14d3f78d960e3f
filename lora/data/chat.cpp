#include "lora/data/chat.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/names.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDeepestMessage = 100;

// The roles that templates know. Others are refused, because a role from data could spell a special token.
const std::vector<std::string>& roles() {
  static const std::vector<std::string> known = {"system", "user", "assistant", "tool", "function", "ipython"};
  return known;
}

// Names of the role of a message that is a call of a tool.
bool is_call_role(const std::string& role) {
  static const std::set<std::string> names = {"tool_call", "tool_calls", "tool-call", "function_call", "function-call"};
  return names.contains(role);
}

// Other names of roles.
std::string mapped_role(std::string role) {
  static const std::map<std::string, std::string> names = {
      {"human", "user"},           {"prompter", "user"},      {"gpt", "assistant"},      {"chatgpt", "assistant"},
      {"bot", "assistant"},        {"ai", "assistant"},       {"bing", "assistant"},     {"bard", "assistant"},
      {"model", "assistant"},      {"developer", "system"},   {"observation", "tool"},   {"function_response", "tool"},
      {"function_result", "tool"}, {"tool_response", "tool"}, {"tool-response", "tool"}, {"tool_responses", "tool"},
      {"tool_result", "tool"},     {"tool_results", "tool"},  {"tool_output", "tool"}};
  std::ranges::transform(role, role.begin(),
                         [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
  if (is_call_role(role)) return "assistant";
  const auto found = names.find(role);
  return found == names.end() ? role : found->second;
}

// Fields of a message by which a tool says whether an answer is trained: 1 or true, 0 or false. `weight` is OpenAI's,
// `train` and `training` are axolotl's, `loss` and `loss_scale` ms-swift's.
bool is_train_mark(const std::string& field) {
  static const std::set<std::string> names = {"weight",     "train",       "training",  "trainable",
                                              "trained",    "loss",        "loss_mask", "step_loss_mask",
                                              "loss_scale", "loss_weight", "learn"};
  return names.contains(field);
}

// Fields that mask a message, or a part of it, in a way that is not followed here.
bool is_other_mask(const std::string& field) {
  static const std::set<std::string> names = {"train_detail", "training_detail", "mask",    "masked",   "mask_loss",
                                              "ignore",       "ignore_loss",     "no_loss", "train_on", "no_train"};
  return names.contains(field);
}

// Refuses deep values, which would exhaust the stack of code that traverses them, and numbers that are integers in the
// row and that a template would write as floats.
void expect_shallow(const Json& value, const std::string& where, int depth = 0) {
  if (depth > kDeepestMessage)
    throw DataError(where + ": nested more than " + std::to_string(kDeepestMessage) + " deep");
  const bool beyond = value.is_number_unsigned() ? value.get<uint64_t>() > INT64_MAX
                                                 : value.is_number_float() && std::abs(value.get<double>()) >= 0x1p63;
  if (beyond)
    throw DataError(where + ": a number beyond 64 bits, " + value.dump() + "; expected it as text, in quotes");
  if (!value.is_structured()) return;
  for (const auto& item : value) expect_shallow(item, where, depth + 1);
}

class MessageReader {
 public:
  explicit MessageReader(std::string where) : where_(std::move(where)) {}

  ChatMessage read(const Json& given) const {
    if (!given.is_object()) fail(std::string("found ") + given.type_name() + ", expected an object");
    expect_shallow(given, where_);
    const char* role_key = given.contains("from") && !given.contains("role") ? "from" : "role";
    const char* content_key = given.contains("value") && !given.contains("content") ? "value" : "content";
    ChatMessage message{.fields = Json::object()};
    message.fields["role"] = role(given, role_key);
    message.fields["content"] = content(given, content_key);
    for (const auto& item : given.items()) {
      if (item.key() == role_key || item.key() == content_key || item.value().is_null()) continue;
      if (is_other_mask(item.key())) {
        fail("'" + item.key() +
             "' marks what is trained in a way that is not followed; expected 'weight': 0 or "
             "'train': false on an answer that is not trained");
      }
      if (is_train_mark(item.key())) continue;
      message.fields[item.key()] = item.value();
      if (item.key() == "tool_calls") set_calls(item.value(), message);
    }
    message.masked = !mark(given).value_or(true);
    if (message.role() == "assistant") message.trained = !message.masked;
    if (is_call_role(given[role_key].get_ref<const std::string&>())) turn_into_call(message);
    const auto call = message.fields.find("function_call");
    if (call != message.fields.end() && call->is_object() && !message.fields.contains("tool_calls")) {
      set_calls(Json::array({Json{{"type", "function"}, {"function", *call}}}), message);
    }
    return message;
  }

  // Whether the message is marked as trained, or as not trained.
  std::optional<bool> mark(const Json& given) const {
    std::optional<bool> all;
    for (const auto& item : given.items()) {
      if (!is_train_mark(item.key()) || item.value().is_null()) continue;
      all = trained(item.key(), item.value()) && all.value_or(true);
    }
    return all;
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
      if (given.contains("tool_calls") || given.contains("function_call")) return "";
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
      const Json parsed = parse_json_or_discard<Json>(arguments->get_ref<const std::string&>());
      if (!parsed.is_object()) continue;
      expect_shallow(parsed, where_);
      *arguments = parsed;
    }
    return calls;
  }

  // Text that is not a call as JSON stays what the assistant says.
  void turn_into_call(ChatMessage& message) const {
    Json calls = parse_json_or_discard<Json>(message.content());
    if (calls.is_object()) calls = Json::array({calls});
    if (!calls.is_array() || calls.empty() || message.fields.contains("tool_calls")) return;
    for (Json& call : calls) {
      if (call.is_object() && call.contains("name")) call = {{"type", "function"}, {"function", call}};
      if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) return;
      if (!call["function"].contains("name") || !call["function"].contains("arguments")) return;
    }
    expect_shallow(calls, where_);
    message.fields["content"] = "";
    set_calls(calls, message);
  }

  void set_calls(const Json& calls, ChatMessage& message) const {
    Json& parsed = message.fields["tool_calls"] = tool_calls(calls);
    if (parsed != calls) message.text_calls = calls;
  }

  const std::string where_;
};

// True if the message is nothing but calls, which its role told.
bool is_call(const Json& given, const ChatMessage& message) {
  return message.fields.contains("tool_calls") && !given.contains("tool_calls") && !given.contains("function_call");
}

void append_calls(const ChatMessage& more, ChatMessage& to) {
  const auto as_text = [](const ChatMessage& message) {
    if (!message.text_calls.is_null()) return message.text_calls;
    const auto calls = message.fields.find("tool_calls");
    return calls == message.fields.end() ? Json::array() : *calls;
  };
  if (!more.text_calls.is_null() || !to.text_calls.is_null()) {
    Json texts = as_text(to);
    for (const Json& call : as_text(more)) texts.push_back(call);
    to.text_calls = std::move(texts);
  }
  Json& calls = to.fields["tool_calls"];
  for (const Json& call : more.fields.at("tool_calls")) calls.push_back(call);
}

}  // namespace

ChatMessage chat_message(const std::string& role, const std::string& content) {
  return {.fields = {{"role", role}, {"content", content}}};
}

const std::vector<std::string>& reasoning_fields() {
  static const std::vector<std::string> names = {"reasoning_content", "thinking", "reasoning"};
  return names;
}

std::pair<size_t, size_t> reasoning_in(const ChatMessage& message) {
  static constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  const std::string& words = message.content();
  const size_t close = message.role() == "assistant" ? words.rfind(kClose) : std::string::npos;
  if (close == std::string::npos) return {0, 0};
  const size_t open = words.find(kOpen);
  return {open < close ? open : 0, close + kClose.size()};
}

std::vector<ChatMessage> read_messages(const Json& list, const std::string& where, const std::string& name) {
  if (!list.is_array()) {
    throw DataError(where + ": '" + name + "' is " + list.type_name() + ", expected a list of messages");
  }
  if (list.empty()) throw DataError(where + ": '" + name + "' is empty, expected at least one message");
  std::vector<ChatMessage> messages;
  bool any_read = false;  // marked as not trained, of messages that are not answers
  std::string any_trained;
  for (size_t i = 0; i < list.size(); ++i) {
    const MessageReader reader(where + ": " + name + "[" + std::to_string(i) + "]");
    ChatMessage message = reader.read(list[i]);
    if (const auto mark = reader.mark(list[i]); mark && message.role() != "assistant") {
      any_read |= !*mark;
      if (*mark) any_trained = message.role();
    }
    ChatMessage* last = messages.empty() ? nullptr : &messages.back();
    // The words before a call, and several calls, are one turn.
    if (last && is_call(list[i], message) && last->role() == "assistant" && last->trained == message.trained) {
      append_calls(message, *last);
    } else {
      messages.push_back(std::move(message));
    }
  }
  if (any_read && !any_trained.empty()) {
    throw DataError(where + ": one message of role " + any_trained + " is marked as trained and another is not; " +
                    "only answers are trained, or everything by train_on: all, which takes no marks");
  }
  return messages;
}

Json read_tools(const Json& value, const std::string& where) {
  if (value.is_null()) return nullptr;
  const Json tools = value.is_string() ? parse_json_or_discard<Json>(value.get_ref<const std::string&>()) : value;
  const bool objects =
      tools.is_array() && std::ranges::all_of(tools, [](const Json& tool) { return tool.is_object(); });
  if (!objects) throw DataError(where + ": 'tools' is not a list of JSON schemas");
  expect_shallow(tools, where);
  return tools.empty() ? Json(nullptr) : tools;
}

size_t shared_messages(const std::vector<ChatMessage>& a, const std::vector<ChatMessage>& b) {
  const auto same = [](const ChatMessage& x, const ChatMessage& y) { return x.fields == y.fields; };
  return static_cast<size_t>(std::ranges::mismatch(a, b, same).in1 - a.begin());
}

std::string plain_text(const std::vector<ChatMessage>& messages) {
  std::string text;
  const auto add = [&](const std::string& line) {
    if (!line.empty()) text += (text.empty() ? "" : "\n") + line;
  };
  for (const ChatMessage& message : messages) {
    add(message.content());
    const auto calls = message.fields.find("tool_calls");
    if (calls == message.fields.end() || !calls->is_array()) continue;
    for (const Json& call : *calls) {
      add(call.value("function", call).dump(-1, ' ', false, Json::error_handler_t::replace));
    }
  }
  return text;
}

std::string tool_names(const Json& tools) {
  std::vector<std::string> names;
  for (const Json& tool : tools) {
    const Json& function = tool.contains("function") && tool["function"].is_object() ? tool["function"] : tool;
    const Json name = function.value("name", Json());
    names.push_back(name.is_string() ? name.get<std::string>()
                                     : tool.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return joined(names);
}

}  // namespace lora
