#include "lora/data/format.h"
#include "lora/data/formats/chats.h"
#include "models/base/error.h"

namespace lora {

Example chat_example(Chat chat) {
  Example example;
  auto prompt = chat.messages;
  if (prompt.back().role() == "assistant") {
    example.completion = prompt.back().content();
    prompt.pop_back();
  }
  example.prompt = plain_text(prompt);
  example.chat = std::make_shared<const Chat>(std::move(chat));
  return example;
}

namespace {

// OpenAI's `messages`, with `tools` or without.
Example make_chat(const DataRow& row) {
  return chat_example(
      {read_messages(row.value("messages"), row.where()), read_tools(row.optional_value("tools"), row.where())});
}

// ShareGPT's `conversations`; `system` may hold the system's words.
Example make_sharegpt(const DataRow& row) {
  Chat chat{read_sharegpt(row.value("conversations"), row.where()),
            read_tools(row.optional_value("tools"), row.where())};
  const std::string system = row.optional_text("system");
  if (!system.empty()) {
    if (chat.messages.front().role() == "system") {
      throw DataError(row.where() + ": a 'system' beside conversations that have one of their own");
    }
    chat.messages.insert(chat.messages.begin(), chat_message("system", system));
  }
  return chat_example(std::move(chat));
}

}  // namespace

Format chat_format() {
  return {.name = "chat",
          .columns = {"messages", "tools"},
          .make = make_chat,
          .optional = {"tools"},
          .turns = Turns::kAlways,
          .elsewhere = {"messages", "openai", "chat_template", "chatml"}};
}

Format sharegpt_format() {
  return {.name = "sharegpt",
          .columns = {"conversations", "system", "tools"},
          .make = make_sharegpt,
          .optional = {"system", "tools"},
          .turns = Turns::kAlways,
          .elsewhere = {"conversations"}};
}

}  // namespace lora
