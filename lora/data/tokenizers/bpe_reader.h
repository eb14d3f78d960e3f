#pragma once
// `model` of tokenizer.json.

#include <string>
#include <vector>

#include "lora/data/tokenizers/added_tokens.h"
#include "lora/data/tokenizers/bpe.h"
#include "lora/data/tokenizers/json_view.h"

namespace lora {

// The model `object` of type BPE; byte_level: its names are in ByteLevel's alphabet, and its vocabulary is bytes then.
// Each of `added` is checked against the vocabulary: its id is its own there or free. Throws ModelError for another
// type, dropout, affixes of subwords, and merges whose tokens are not there.
Bpe read_bpe(const JsonView& object, bool byte_level, const std::vector<AddedToken>& added);

}  // namespace lora
