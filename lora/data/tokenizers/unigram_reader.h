#pragma once
// Reads the `model` of a tokenizer.json whose type is Unigram.

#include <vector>

#include "lora/data/tokenizers/added_tokens.h"
#include "lora/data/tokenizers/json_view.h"
#include "lora/data/tokenizers/unigram_model.h"

namespace lora {

// The names of `added` match no text: they are searched before. Throws ModelError for what the file has wrong.
Unigram read_unigram(const JsonView& object, const std::vector<AddedToken>& added);

}  // namespace lora
