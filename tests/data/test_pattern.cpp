// Patterns of tokenizer.json: that a match is found wherever it begins, and that a search has an end.

#include "lora/data/tokenizers/pattern.h"

#include <nlohmann/json.hpp>

#include "models/base/error.h"
#include "tests/catch.h"

using namespace lora;
using Catch::Matchers::Contains;

namespace {

Pattern regex(const std::string& source) {
  const nlohmann::json object = {{"Regex", source}};
  return Pattern::read(JsonView(object, "tokenizer.json"));
}

}  // namespace

TEST_CASE("a match is found wherever in the text it begins") {
  PatternScratch scratch;
  const Pattern word = regex("(?<=\xC3\xA9)xy$|(?<=^|-)z");
  for (size_t before = 0; before < 200; ++before) {
    std::string text;
    for (size_t i = 0; i < before; ++i) text += i % 3 ? "\xC3\xA9" : "a";
    const size_t begin = text.size() + 2;
    text += "\xC3\xA9xy";
    const auto found = word.next(text, 0, scratch);
    INFO(before);
    REQUIRE(found);
    CHECK(found->begin == begin);
    CHECK(found->end == text.size());
    CHECK_FALSE(word.next(text, begin + 1, scratch));
    CHECK(word.next("-" + text + "\n-z", 0, scratch)->begin == begin + 1);
  }
}

TEST_CASE("a regular expression that backtracks at every place of a text is stopped") {
  PatternScratch scratch;
  const Pattern cubic = regex("(?:a|b)*(?:a|b)*(?:a|b)*[^ab]");
  CHECK_THROWS_WITH(cubic.next(std::string(4000, 'a'), 0, scratch),
                    Contains("(?:a|b)*") && Contains("a text of 4000 bytes") && Contains("match limit"));
  CHECK_THROWS_WITH(regex("(a+)+[^a]").next(std::string(4000, 'a'), 0, scratch), Contains("match limit"));
}

TEST_CASE("a verb of PCRE2 is refused, which no tokenizer's library has") {
  CHECK_THROWS_WITH(regex("a(*COMMIT)b"), Contains("'(*'"));
  CHECK_NOTHROW(regex("a[(*]b\\(*"));
}
