#include <algorithm>
#include <iterator>

#include "lora/data/format.h"
#include "lora/data/formats/chats.h"
#include "models/base/error.h"

namespace lora {

using Json = nlohmann::ordered_json;

Example chat_example(Chat chat) {
  Example example;
  auto prompt = chat.messages;
  const auto answer = std::ranges::find(prompt.rbegin(), prompt.rend(), "assistant", &ChatMessage::role);
  if (answer != prompt.rend()) {
    example.completion = plain_text({*answer});
    prompt.erase(std::next(answer).base());
  }
  if (!chat.tools.is_null()) example.prompt = "tools: " + tool_names(chat.tools) + "\n";
  example.prompt += plain_text(prompt);
  example.chat = std::make_shared<const Chat>(std::move(chat));
  return example;
}

Example prompt_example(const DataRow& row, std::string prompt, std::string completion) {
  Example example{std::move(prompt), std::move(completion)};
  example.system = system_of(row);
  if (example.system.empty()) return example;
  example.user = std::move(example.prompt);
  example.prompt = example.system + "\n\n" + example.user;
  return example;
}

std::string system_of(const DataRow& row) {
  const std::string system = row.optional_text("system"), prompt = row.optional_text("system_prompt");
  if (!system.empty() && !prompt.empty() && system != prompt) {
    throw DataError(row.where() + ": 'system' and 'system_prompt' differ; expected one of them");
  }
  return system.empty() ? prompt : system;
}

void add_system(const std::string& system, Chat& chat, const DataRow& row) {
  if (system.empty()) return;
  const ChatMessage& first = chat.messages.front();
  if (first.role() != "system") {
    chat.messages.insert(chat.messages.begin(), chat_message("system", system));
  } else if (first.content() != system) {
    throw DataError(row.where() + ": a 'system' beside conversations that have one of their own");
  }
}

namespace {

// Text is what the role says.
Json as_messages(const Json& value, const char* role) {
  return value.is_string() ? Json::array({{{"role", role}, {"content", value}}}) : value;
}

// TRL's conversational prompt and completion: answers in the prompt are read and not trained.
Chat continued_prompt(const DataRow& row) {
  Chat chat{read_messages(as_messages(row.value("prompt"), "user"), row.where(), "prompt")};
  for (ChatMessage& message : chat.messages) message.trained = message.role() != "assistant";
  for (ChatMessage& message :
       read_messages(as_messages(row.value("completion"), "assistant"), row.where(), "completion")) {
    chat.messages.push_back(std::move(message));
  }
  if (chat.messages.back().role() == "assistant") return chat;
  throw DataError(row.where() + ": 'completion' ends with the " + chat.messages.back().role() +
                  "'s words, expected an answer");
}

Example finished(Chat chat, const DataRow& row) {
  chat.tools = read_tools(row.optional_value("tools"), row.where());
  add_system(system_of(row), chat, row);
  return chat_example(std::move(chat));
}

// OpenAI's `messages`, or TRL's `prompt` and `completion`.
Example make_chat(const DataRow& row) {
  Json messages = row.optional_value("messages");
  if (messages.is_null()) {
    if (!row.optional_value("completion").is_null()) return finished(continued_prompt(row), row);
    messages = row.value("messages");  // throws, unless it is null
  }
  return finished({read_messages(messages, row.where())}, row);
}

// ShareGPT's `conversations`.
Example make_sharegpt(const DataRow& row) {
  return finished({read_messages(row.value("conversations"), row.where(), "conversations")}, row);
}

}  // namespace

Format chat_format() {
  const std::vector<std::string> optional = {"prompt",        "completion", "tools",  "system",
                                             "system_prompt", "label",      "kto_tag"};
  Format format{.name = "chat",
                .columns = optional,
                .make = make_chat,
                .optional = optional,
                .turns = Turns::kAlways,
                .elsewhere = {"messages", "openai", "chat_template", "chatml"}};
  format.columns.insert(format.columns.begin(), "messages");
  return format;
}

Format sharegpt_format() {
  return {.name = "sharegpt",
          .columns = {"conversations", "tools", "system", "system_prompt", "label", "kto_tag"},
          .make = make_sharegpt,
          .optional = {"tools", "system", "system_prompt", "label", "kto_tag"},
          .turns = Turns::kAlways,
          .elsewhere = {"conversations"}};
}

}  // namespace lora
