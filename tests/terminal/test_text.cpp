// Numbers and tables as a person reads them.

#include "lora/terminal/text.h"

#include "tests/catch.h"

using namespace lora;

TEST_CASE("numbers are written to be read") {
  CHECK(with_commas(0) == "0");
  CHECK(with_commas(999) == "999");
  CHECK(with_commas(1234567) == "1,234,567");
  CHECK(with_commas(-1234) == "-1,234");
  CHECK(as_bytes(999) == "999 B");
  CHECK(as_bytes(1234567) == "1.2 MB");
  CHECK(as_bytes(123456789) == "123 MB");
  CHECK(as_bytes(999999) == "1.0 MB");
  CHECK(as_duration(42.4) == "0:42");
  CHECK(as_duration(3723) == "1:02:03");
  CHECK(fixed(1.23456, 2) == "1.23");
}

TEST_CASE("a long or many-lined text becomes one line") {
  CHECK(one_line("a\nb", 10) == "a↵b");
  CHECK(one_line("äöü…x", 4) == "äöü……");
  CHECK(one_line("\x1b[31m", 10) == " [31m");
}

TEST_CASE("columns align, also with characters of several bytes") {
  CHECK(table({{"name", "n"}, {"ä", "1,000"}}, {false, true}) == "  name      n\n  ä     1,000\n");
}

TEST_CASE("a table that is too wide for its terminal goes on in lines below") {
  const std::vector<std::vector<std::string>> rows = {{"name", "n", "what it is"},
                                                      {"a", "1,000", "several words that need more than one line"}};
  const std::string text = table(rows, {false, true, false}, 36);
  CHECK(text ==
        "  name      n  what it is\n"
        "  a     1,000  several words that\n"
        "               need more than one\n"
        "               line\n");
  CHECK(table(rows, {false, true, false}, 0) == table(rows, {false, true, false}, 500));
  // A word without spaces is cut; no byte of a character is lost.
  const std::string cut = table({{std::string("ä") + std::string(30, 'x') + "ö"}}, {false}, 20);
  CHECK(cut == "  ä" + std::string(17, 'x') + "\n  " + std::string(13, 'x') + "ö\n");
}
