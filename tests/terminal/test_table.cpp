// Tables: aligned, and never wider than they may be.

#include "lora/terminal/table.h"

#include <sstream>

#include "lora/terminal/histogram.h"
#include "lora/terminal/text.h"
#include "tests/catch.h"

namespace lora::test {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::vector<std::string> lines_in(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string without_spaces(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
  return text;
}

TEST_CASE("columns align, also with characters of several bytes and of several columns") {
  CHECK(table({{"name", "n"}, {"ä", "1,000"}}, {false, true}) == "  name      n\n  ä     1,000\n");
  CHECK(table({{"name", "n"}, {"模型", "1,000"}}, {false, true}) == "  name      n\n  模型  1,000\n");
  CHECK(table({}, {false, true}).empty());
}

TEST_CASE("a table that is too wide for its terminal goes on in lines below") {
  const Rows rows = {{"name", "n", "what it is"}, {"a", "1,000", "several words that need more than one line"}};
  const std::string text = table({rows, {false, true, false}}, 36);
  CHECK(text ==
        "  name      n  what it is\n"
        "  a     1,000  several words that\n"
        "               need more than one\n"
        "               line\n");
  CHECK(table({rows, {false, true, false}}, 0) == table({rows, {false, true, false}}, 500));
  // A word without spaces is cut; no byte of a character is lost.
  const std::string cut = table({Rows{{std::string("ä") + std::string(30, 'x') + "ö"}}, {false}}, 20);
  CHECK(cut == "  ä" + std::string(17, 'x') + "\n  " + std::string(13, 'x') + "ö\n");
}

TEST_CASE("a table of too many numbers for its terminal is a block a row") {
  const Rows rows = {{"adapted", "modules", "rank", "trained"},
                     {"model.layers.*.self_attn.q_proj", "30", "16", "552,960"},
                     {"lm_head", "1", "8", "393,728"}};
  CHECK(table({rows, {false, true, true, true}}, 36) ==
        "  adapted\n"
        "  model.layers.*.self_attn.q_proj\n"
        "    modules 30  rank 16\n"
        "    trained 552,960\n"
        "  lm_head\n"
        "    modules 1  rank 8\n"
        "    trained 393,728\n");
  // With a number in front of the name.
  CHECK(table({Rows{{"", "label \\ predicted", "0", "1"}, {"0", "animals of the village", "123,456", "123,456"}},
               {true, false, true, true}},
              32) ==
        "  label \\ predicted\n"
        "  0  animals of the village\n"
        "    0 123,456  1 123,456\n");
  const TextTable plain = {
      {{"wrote", "123,456,789", "123,456,789", "123,456,789"}}, {false, true, true, true}, /*head=*/false};
  CHECK(table(plain, 36) == "  wrote\n    123,456,789  123,456,789\n    123,456,789\n");
}

TEST_CASE("at any width no line is wider, no number is cut and no word is lost") {
  for (const int width : {20, 40, 60, 80, 100, 200}) {
    for (const std::string name :
         {"model.layers.*.self_attn.q_proj", "数据集/训练/对话样本-第一部分.jsonl", "한국어 모델의 이름은 깁니다"}) {
      for (const int numbers : {1, 4, 12}) {
        for (const bool head : {true, false}) {
          TextTable content{{}, {false, false}, head};
          std::vector<std::string> titles = {"source", "what it is"}, row = {name, name + " " + name};
          for (int i = 0; i < numbers; ++i) {
            content.right.push_back(true);
            titles.push_back("count " + std::to_string(i));
            row.push_back(with_commas(123'456'789 + i));
          }
          content.rows = {titles, row, row};
          const std::string text = table(content, width);
          CAPTURE(width, name, numbers, head, text);
          for (const std::string& line : lines_in(text)) CHECK(width_of(line) <= static_cast<size_t>(width));
          for (int i = 0; i < numbers; ++i)
            CHECK_THAT(text, Catch::Matchers::Contains(row[static_cast<size_t>(2 + i)]));
        }
      }
      // Of a single column the pieces below one another are the whole.
      CHECK(without_spaces(table({Rows{{name}}, {false}}, width)) == without_spaces(name));
    }
  }
}

TEST_CASE("without a terminal a table has 100 columns at most, and so have the bars of a histogram") {
  CHECK(table_width() >= 20);
  const std::string text = bars({1'000'000, {1, 123'456'789}}, 500);
  for (const std::string& line : lines_in(text)) CHECK(width_of(line) <= static_cast<size_t>(table_width()));
  CHECK_THAT(text, Catch::Matchers::Contains("123,456,789"));
}

TEST_CASE("bars begin with the first that is not empty, and keep those between") {
  const std::string text = bars({5, {0, 0, 3, 0, 6}}, 8);
  CHECK(text == "  10  ████      3\n  15\n  20  ████████  6\n");
}

TEST_CASE("the best cells of a column have a mark that a line explains, and it is aligned with the others") {
  TextTable content = {{{"run", "loss"}, {"one", "0.5"}, {"two", "0.25"}}, {false, true}};
  content.best = {{2, 1}};
  CHECK(table(content, 80) ==
        "  run   loss\n"
        "  one    0.5\n"
        "  two  *0.25\n"
        "  * the best of its column\n");
  CHECK(is_best(content, 2, 1));
  CHECK_FALSE(is_best(content, 1, 1));
  content.rows[0][0] = "a run whose name is wide";
  content.right[0] = true;
  CHECK_THAT(table(content, 30), Catch::Matchers::Contains("    loss *0.25\n  * the best of its column\n"));
}

TEST_CASE("indented text keeps its indentation where it goes on") {
  CHECK(indented("one two three four", 2, 12) == "  one two\n  three four\n");
  CHECK(indented("", 2, 12).empty());
}

}  // namespace
}  // namespace lora::test
