// tokenizer.model: a byte with the length of a text, the text, and the model that encodes it: without a
// tokenizer_config.json, and with one. SentencePiece itself is linked as it is.

#include "lora/data/sentencepiece_check.h"
#include "lora/data/sentencepiece_tokenizer.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/tokenizer_use.h"

FUZZ_TARGET(tokenizer_model) {
  if (input.empty()) return;
  const size_t length = std::min<size_t>(static_cast<unsigned char>(input[0]), input.size() - 1);
  const std::string_view text = input.substr(1, length), model = input.substr(1 + length);
  lora::is_tiktoken(model);
  const lora::test::MemoryFile file(model);
  const auto plain = lora::load_sentencepiece(file.path(), {}, {});
  lora::test::use_tokenizer(*plain, text);
  const auto named = lora::test::named_tokens(plain->vocab_size());
  lora::test::use_tokenizer(*lora::load_sentencepiece(file.path(), named, {}), text);
}
