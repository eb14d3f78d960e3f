#pragma once
// Conversations as examples.

#include "lora/data/format.h"

namespace lora {

// With its plain text as prompt and completion. It has at least one message.
Example chat_example(Chat chat);

// A prompt and its answer. The system's words, if any, stand in front of the prompt and a blank line.
Example prompt_example(const DataRow& row, std::string prompt, std::string completion);

// The system's words: the row's `system` or `system_prompt`; empty: none. Throws DataError for two that differ.
std::string system_of(const DataRow& row);

// Puts these words, unless they are empty, in front as the system's message. Throws DataError if the chat begins with
// other words of the system.
void add_system(const std::string& system, Chat& chat, const DataRow& row);

}  // namespace lora
