// Numbers and short texts as a person reads them.

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

TEST_CASE("characters have the columns that a terminal gives them") {
  CHECK(width_of("model") == 5);
  CHECK(width_of("äöü") == 3);
  CHECK(width_of("模型") == 4);
  CHECK(width_of("ﾓﾃﾞﾙ") == 4);  // half-width
  CHECK(width_of("한국어") == 6);
  CHECK(width_of("e\u0301") == 1);  // a mark on its letter
  CHECK(width_of("🌊") == 2);
  CHECK(width_of("\xff\xfe") == 2);  // not text
  CHECK(one_line("数据集", 4) == "数据…");
  CHECK(one_line("数据集", 5) == "数据…");
  CHECK(one_line("a\u009bb", 9) == "a b");
}

TEST_CASE("text is folded at spaces, behind marks between words, or where it has to be, and nothing is lost") {
  using Lines = std::vector<std::string>;
  CHECK(folded("", 9) == Lines{""});
  CHECK(folded("one two three", 9) == Lines{"one two", "three"});
  CHECK(folded("model.layers.self_attn", 14) == Lines{"model.layers.", "self_attn"});
  CHECK(folded("runs/quickstart/merged.pt", 23) == Lines{"runs/quickstart/", "merged.pt"});
  CHECK(folded("about 12,345.678", 13) == Lines{"about", "12,345.678"});
  CHECK(folded("训练数据的名字", 5) == Lines{"训练", "数据", "的名", "字"});
  CHECK(folded("one two\n\n  three\n", 9) == Lines{"one two", "", "  three"});
  CHECK(folded("one two  \nthree", 7) == Lines{"one two", "three"});
}

TEST_CASE("a message has nothing that a terminal acts on but its line ends") {
  CHECK(harmless("a\x1b[2Jb\tc\nd\xC2\x9B"
                 "e\xFF") == "a [2Jb c\nd e\uFFFD");
  CHECK(folded("a\x1b[2J b", 5) == std::vector<std::string>{"a [2J", "b"});
}

TEST_CASE("a message that is too long keeps its beginning and its end, and no part of a character") {
  CHECK(without_middle("short", 5) == "short");
  CHECK(without_middle(std::string(100, 'a') + "hint", 16) == std::string(12, 'a') + " … (88 bytes) … hint");
  CHECK(without_middle("aäääääääää!", 8) == "aää … (14 bytes) … !");
}
