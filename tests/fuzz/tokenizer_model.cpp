// tokenizer.model: a byte with the length of a text, the text, and the model that encodes it. SentencePiece itself is
// linked as it is.

#include "lora/data/sentencepiece_check.h"
#include "lora/data/sentencepiece_tokenizer.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(tokenizer_model) {
  if (input.size() < 1) return;
  const size_t length = std::min<size_t>(static_cast<unsigned char>(input[0]), input.size() - 1);
  const std::string_view text = input.substr(1, length), model = input.substr(1 + length);
  lora::is_tiktoken(model);
  const lora::test::MemoryFile file(model);
  const auto tokenizer = lora::load_sentencepiece(file.path(), {}, {});
  std::vector<int64_t> ids;
  for (const lora::Token& token : tokenizer->encode(text)) {
    if (token.end < token.begin || token.end > text.size()) ::abort();
    ids.push_back(token.id);
    tokenizer->piece(token.id);
  }
  tokenizer->decode(ids);
}
