#pragma once
// Reads `model` of tokenizer.json.

#include <string>
#include <vector>

#include "lora/data/tokenizers/added_tokens.h"
#include "lora/data/tokenizers/bpe.h"
#include "lora/data/tokenizers/json_view.h"

namespace lora {

// Reads a model of type BPE. `byte_level`: its tokens are in ByteLevel's alphabet and become bytes. Checks `added`
// against the vocabulary: each id must be unused or belong to the same token. Throws ModelError for another type,
// dropout, subword affixes, and merges of unknown tokens.
Bpe read_bpe(const JsonView& object, bool byte_level, const std::vector<AddedToken>& added);

// Throws ModelError at `vocab` where an added token has another id than in the vocabulary, or another token's.
void check_added(const JsonView& vocab, const Vocabulary& names, const std::vector<AddedToken>& added);

}  // namespace lora
