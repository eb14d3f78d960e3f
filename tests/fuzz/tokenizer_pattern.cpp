// A regular expression of a tokenizer.json, then NUL, then a text to match. Texts are valid UTF-8, as the tokenizer
// gives them.

#include <nlohmann/json.hpp>

#include "lora/data/tokenizers/pattern.h"
#include "models/base/utf8.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(tokenizer_pattern) {
  const auto [regex, bytes] = lora::test::split_input(input);
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = lora::utf8_length(bytes, at);
    text += length ? bytes.substr(at, length) : "?";
    at += std::max<size_t>(length, 1);
  }
  const nlohmann::json object = {{"Regex", std::string(regex)}};
  const auto pattern = lora::Pattern::read(lora::JsonView(object, "tokenizer.json"));
  lora::PatternScratch scratch;
  for (size_t at = 0; at <= text.size();) {
    const auto found = pattern.next(text, at, scratch);
    if (!found) break;
    if (found->begin < at || found->end < found->begin || found->end > text.size()) ::abort();
    at = std::max(found->end, at + 1);
    while (at < text.size() && (text[at] & 0xC0) == 0x80) ++at;
  }
}
