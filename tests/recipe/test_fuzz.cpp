#include <random>
#include <sstream>

#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

// Changes a few bytes: replaced, removed, doubled, cut off, or swapped for what YAML gives a meaning to.
std::string mutated(std::string text, std::mt19937& random) {
  static const std::vector<std::string> pieces = {"\n",  "\n  ", "  ",   ": ",   "- ",  "{",     "}",   "[",     "]",
                                                  "\"",  "'",    "#",    "&a ",  "*a",  "!!map", "!",   "|\n",   ">\n",
                                                  "? ",  ",",    "%",    "---",  "...", "\t",    "\\x", "null",  ".nan",
                                                  "1e9", "-1",   "\xEF", "\xBB", "\r",  "<<: ",  "@",   "99999", "~"};
  for (size_t edits = 1 + random() % 4; edits > 0 && !text.empty(); --edits) {
    const size_t at = random() % text.size(), length = random() % 20;
    switch (random() % 6) {
      case 0:
        text[at] = static_cast<char>(random() % 256);
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(random() % text.size(), length));
        break;
      case 3:
        if (random() % 8 == 0) text.resize(at);
        break;
      default:
        text.insert(at, pieces[random() % pieces.size()]);
    }
  }
  return text;
}

TEST_CASE("damaged recipes are read or refused, and nothing else") {
  Recipe full = load_text(kMinimal);
  full.adapter.rank_pattern = {{"q", 2}};
  full.data.validation = {{"it's", "alpaca", 1.0, {{"input", "a: b"}}}};
  const std::string seeds[] = {kMinimal, to_yaml(full)};
  const TemporaryDirectory directory;
  const auto file = directory / "a.yaml";
  std::mt19937 random(7);
  int refused = 0;
  constexpr int kRounds = 4000;
  for (int i = 0; i < kRounds; ++i) {
    write_bytes(file, mutated(seeds[i % 2], random));
    try {
      const Recipe recipe = load_recipe(file);
      write_bytes(file, to_yaml(recipe));
      REQUIRE(load_recipe(file) == recipe);
    } catch (const RecipeError& error) {
      const std::string message = error.what();
      INFO(message);
      std::istringstream lines(message);  // an error each
      for (std::string line; std::getline(lines, line);) {
        REQUIRE((line.starts_with("[recipe] " + file.string()) || line.starts_with("[recipe] and ")));
      }
      ++refused;
    }
  }
  CHECK(refused > kRounds / 2);
  CHECK(refused < kRounds);
}

TEST_CASE("damaged overrides are read or refused, and nothing else") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.yaml", kMinimal);
  std::mt19937 random(8);
  const std::string seeds[] = {"training.max_steps=3", "data.train.0.path=x", "adapter={target_modules: [q, v]}"};
  for (int i = 0; i < 2000; ++i) {
    try {
      load_recipe(directory / "a.yaml", {mutated(seeds[i % 3], random)});
    } catch (const RecipeError&) {
    }
  }
  SUCCEED();
}

TEST_CASE("nesting without end is refused, not followed") {
  for (const char* open : {"[", "{a: ", "- ", "{", "? "}) {
    std::string deep = "a: ";
    if (open == std::string("- ") || open == std::string("? ")) deep = "";
    for (int i = 0; i < 20000; ++i) deep += open;
    CHECK(error_of(deep).starts_with("[recipe] a.yaml"));
  }
}

}  // namespace
}  // namespace lora::test
