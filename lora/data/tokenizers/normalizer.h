#pragma once
// Reads `normalizer` of tokenizer.json: changes a text before it is split.

#include <functional>
#include <vector>

#include "lora/data/tokenizers/aligned_text.h"
#include "lora/data/tokenizers/json_view.h"
#include "lora/data/tokenizers/pattern.h"

namespace lora {

using Normalizer = std::function<void(AlignedText&, PatternScratch&)>;

// The steps of `object`, in order: Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents,
// BertNormalizer. Throws ModelError for any other.
std::vector<Normalizer> read_normalizer(const JsonView& object);

}  // namespace lora
