#include "models/base/names.h"
#include "tests/catch.h"

namespace lora::test {

enum class Size { kSmall, kLarge };
const Names& names_of(Size) {
  static const Names names = {{"small", "large"}, {{"big", "large"}}};
  return names;
}

namespace {

struct Row {
  std::string name;
  std::vector<std::string> elsewhere = {};
};

TEST_CASE("a name that ends in _N accepts numbers of up to three digits") {
  const Names names = {{"plain", "steps_N"}};
  CHECK(accepts(names, "plain"));
  CHECK(accepts(names, "steps_0"));
  CHECK(accepts(names, "steps_999"));
  for (const char* text : {"steps_", "steps_N", "steps_1000", "steps_1a", "step_1", "Plain", ""}) {
    INFO(text);
    CHECK_FALSE(accepts(names, text));
  }
}

TEST_CASE("a registry's rows give its names and those that other tools have for them") {
  const std::vector<Row> rows = {{"chat", {"openai", "messages"}}, {"text"}};
  const Names names = with_rows({{"auto"}, {{"guess", "auto"}}}, rows);
  CHECK(names.known == std::vector<std::string>{"auto", "chat", "text"});
  CHECK(name_hint(names, "openai") == " (did you mean 'chat'?)");
  CHECK(name_hint(names, "guess") == " (did you mean 'auto'?)");
  CHECK(name_hint(names, "txt") == " (did you mean 'text'?)");
  CHECK(name_hint(names, "parquet").empty());
  CHECK(find_row(rows, "text") == &rows[1]);
  CHECK(find_row(rows, "auto") == nullptr);
}

TEST_CASE("an enum's values and their names lead to each other") {
  CHECK(name_of(Size::kLarge) == "large");
  CHECK(value_of<Size>("small") == Size::kSmall);
  CHECK_FALSE(value_of<Size>("big"));
}

}  // namespace
}  // namespace lora::test
