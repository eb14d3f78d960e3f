#include "lora/inference/chat_prompt.h"

#include <ctime>

#include "lora/data/whole_sample.h"

namespace lora {
namespace {

jinja::Date today() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return {local.tm_year + 1900, local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min};
}

}  // namespace

std::vector<int64_t> chat_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat_template, const Chat& chat,
                                 std::set<std::string>* unread) {
  return encode_chat_prompt(tokenizer, chat_template, chat, chat.messages.size(), today(),
                            /*allow_special_tokens=*/false, unread);
}

}  // namespace lora
