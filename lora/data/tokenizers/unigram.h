#pragma once
// A tokenizer.json of a unigram model, which is read by SentencePiece from the tokenizer.model beside it.

#include <nlohmann/json_fwd.hpp>

#include "lora/data/tokenizer.h"
#include "lora/data/tokenizers/json_view.h"
#include "lora/data/tokenizers/surroundings.h"
#include "lora/data/tokenizers/tokenizer_config.h"

namespace lora {

// Whether tokenizer.json has such a model.
bool is_unigram(const nlohmann::json& document);

// Adds to `config` what only tokenizer.json says: added tokens, and whether a space is added in front of each part
// between special tokens. Returns the special tokens around a text.
SettledSurroundings add_from_unigram(const JsonView& root, TokenizerConfig& config);

// Throws ModelError if the pieces of tokenizer.json are not those that `tokenizer` has under the same ids.
void expect_same_pieces(const JsonView& root, const Tokenizer& tokenizer);

}  // namespace lora
