#pragma once
// Which special tokens a tokenizer puts around a text, as transformers 5.24 does. scripts/make_golden_bos.py writes
// what versions 5.24 and 4.57 do, for tests.
//
//   tokenizer.json        its post-processor, whatever add_bos_token and add_eos_token say. The classes
//                         CodeLlamaTokenizer (BOS alone) and GPTNeoXTokenizer (nothing) put their own in its place.
//   tokenizer.model, or   add_bos_token and add_eos_token; what is not set is false (add_bos_token of
//   vocab.json            CodeLlamaTokenizer: true)
//
// A tokenizer.model without a tokenizer_config.json is not a directory of transformers': BOS is added, as Llama's own
// code does.

#include <optional>
#include <string>

#include "lora/data/tokenizers/tokenizer_config.h"

namespace lora {

enum class TokenizerFile { kJson, kModel, kVocabAndMerges };

// Names of tokens, as a post-processor has them.
struct Surroundings {
  std::optional<std::string> before, behind;
};

struct SettledSurroundings {
  bool before = false, behind = false;  // a token is there
  Surroundings names;                   // the post-processor's; without a name: BOS and EOS of the configuration
  std::string note;                     // where transformers 4 puts something else before a text; else empty
};

// `by_processor`: of a tokenizer.json; otherwise empty. `bos` and `eos` say whether there are these tokens at all.
SettledSurroundings settle_surroundings(const TokenizerConfig& config, TokenizerFile file,
                                        const Surroundings& by_processor, bool bos, bool eos);

}  // namespace lora
