#pragma once
// A conversation as the tokens that a model answers: by its chat template, which is told today's date.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "lora/data/chat_template.h"

namespace lora {

// All messages, then the template's beginning of an answer. `unread` and errors: see encode_chat_prompt.
std::vector<int64_t> chat_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat_template, const Chat& chat,
                                 std::set<std::string>* unread = nullptr);

}  // namespace lora
