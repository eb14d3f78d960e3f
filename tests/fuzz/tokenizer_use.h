#pragma once
// What every target with a tokenizer does with it.

#include <cstdlib>
#include <string_view>
#include <vector>

#include "lora/data/tokenizer.h"
#include "lora/data/tokenizers/tokenizer_config.h"

namespace lora::test {

// Special and added tokens, under the names that the seeds of scripts/fuzz_inputs have in their files. `id`: of a token
// that no vocabulary has.
inline TokenizerConfig named_tokens(int64_t id) {
  TokenizerConfig config;
  config.bos = "<s>";
  config.eos = "</s>";
  config.pad = "<pad>";
  config.add_bos = config.legacy = config.has_config = true;
  config.type = "GPT2Tokenizer";
  AddedToken added;
  added.content = "<new>";
  added.id = id;
  added.rstrip = added.lstrip = true;
  config.added = {added};
  config.special = {"<unk>", "ab", "<new>", "nowhere"};
  return config;
}

// Aborts where the tokenizer does not keep what tokenizer.h says.
inline void use_tokenizer(const Tokenizer& tokenizer, std::string_view text) {
  size_t begin = 0;
  std::vector<int64_t> ids;
  for (const Token& token : tokenizer.encode(text)) {
    if (token.begin < begin || token.end < token.begin || token.end > text.size()) ::abort();
    begin = token.begin;
    ids.push_back(token.id);
    tokenizer.piece(token.id);
  }
  tokenizer.piece(-1);
  ids.insert(ids.end(), {-1, 0, tokenizer.vocab_size() - 1, tokenizer.vocab_size()});
  tokenizer.decode(ids);
  const TextRange all[] = {{0, text.size()}};
  tokenizer.encode(text, all);
  if (const auto id = tokenizer.id_of("<s>"); id && !tokenizer.is_special(*id)) ::abort();
  if ((tokenizer.adds_bos() && !tokenizer.bos_id()) || (tokenizer.adds_eos() && !tokenizer.eos_id())) ::abort();
}

}  // namespace lora::test
