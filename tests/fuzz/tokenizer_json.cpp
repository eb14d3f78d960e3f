// tokenizer.json, then NUL, then a text to encode and decode: without a tokenizer_config.json, and with one.

#include <nlohmann/json.hpp>

#include "lora/data/tokenizers/json_tokenizer.h"
#include "models/base/json.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/tokenizer_use.h"

FUZZ_TARGET(tokenizer_json) {
  const auto [file, text] = lora::test::split_input(input);
  const auto document = lora::parse_json_or_discard<nlohmann::json>(file);
  if (document.is_discarded()) return;
  const auto plain = lora::make_json_tokenizer(document, "tokenizer.json", {}, {});
  lora::test::use_tokenizer(*plain, text);
  const auto named = lora::test::named_tokens(plain->vocab_size());
  lora::test::use_tokenizer(*lora::make_json_tokenizer(document, "tokenizer.json", named, {}), text);
}
