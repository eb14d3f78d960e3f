#pragma once
// Conversations as examples.

#include "lora/data/format.h"

namespace lora {

// With its plain text as prompt and completion. It has at least one message.
Example chat_example(Chat chat);

}  // namespace lora
