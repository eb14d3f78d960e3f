#pragma once
// SentencePiece's rules of normalization as a tokenizer.json carries them: a double-array trie (Aoe 1989) of texts, and
// what each becomes. As `tokenizers` applies them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lora/data/tokenizers/aligned_text.h"
#include "lora/data/tokenizers/json_view.h"

namespace lora {

class Precompiled {
 public:
  // `charsmap` in base64. Throws ModelError where it is damaged.
  explicit Precompiled(const JsonView& charsmap);

  void apply(AlignedText& text) const;

 private:
  // What the shortest text in the trie that `part` begins with becomes.
  std::optional<std::string_view> replacement(std::string_view part) const;

  std::vector<uint32_t> units_;
  std::string texts_;  // ended by NUL each
};

}  // namespace lora
