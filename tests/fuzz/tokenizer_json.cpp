// tokenizer.json, then NUL, then a text to encode and decode.

#include <nlohmann/json.hpp>

#include "lora/data/tokenizers/json_tokenizer.h"
#include "models/base/json.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(tokenizer_json) {
  const auto [file, text] = lora::test::split_input(input);
  const auto document = lora::parse_json_or_discard<nlohmann::json>(file);
  if (document.is_discarded()) return;
  const auto tokenizer = lora::make_json_tokenizer(document, "tokenizer.json", {}, {});
  size_t begin = 0;
  std::vector<int64_t> ids;
  for (const lora::Token& token : tokenizer->encode(text)) {
    if (token.begin < begin || token.end < token.begin || token.end > text.size()) ::abort();
    begin = token.begin;
    ids.push_back(token.id);
    tokenizer->piece(token.id);
  }
  tokenizer->decode(ids);
  const lora::TextRange all[] = {{0, text.size()}};
  tokenizer->encode(text, all);
}
