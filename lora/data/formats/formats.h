#pragma once
// The makers that format.cpp registers; one file each.

#include "lora/data/format.h"

namespace lora {

// Stanford Alpaca's two templates (github.com/tatsu-lab/stanford_alpaca, "Data Release"): with and without an input.
Example make_alpaca(const DataRow& row);

// The columns as they are.
Example make_completion(const DataRow& row);

// OpenAI's `messages`, with `tools` or without.
Example make_chat(const DataRow& row);

// ShareGPT's `conversations`; `system` may hold the system's words.
Example make_sharegpt(const DataRow& row);

// A prompt, a chosen and a rejected answer: texts (then `input` may go on with the prompt), or lists of messages, which
// may have the prompt in them. DataError where the two are answers to different prompts.
Example make_preference(const DataRow& row);

// The text to classify as the prompt, and its label, which may not be empty.
Example make_classification(const DataRow& row);

// No prompt: the whole text is trained on.
Example make_text(const DataRow& row);

}  // namespace lora
