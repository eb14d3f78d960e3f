// Rows as examples: what is recognised, and what becomes of rows that cannot be used.

#include "lora/data/examples.h"

#include <ATen/Parallel.h>

#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/data_files.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

struct Read {
  std::vector<std::string> prompts;
  std::vector<std::string> bad;
  int64_t bad_count = 0;
  std::string format, ground;
};

Read read_examples(const std::vector<DataSource>& sources, const RowErrors& errors = {}, bool labelled = false) {
  Read result;
  BadRows bad(errors);
  ExampleReader reader(sources, bad, labelled ? Trains::kLabel : Trains::kText);
  for (ExampleBlock block; reader.next(block);) {
    for (const ExampleRow& row : block.rows) result.prompts.push_back(row.example.prompt);
  }
  result.bad = bad.first();
  result.bad_count = bad.count();
  result.format = reader.source(0).format;
  result.ground = reader.ground(0);
  return result;
}

TEST_CASE("format auto goes by the columns of the first row and says so") {
  const DataFiles files;
  const auto recognised = [&](const std::string& bytes, bool labelled = false) {
    const Read found = read_examples({files.add("a.jsonl", bytes, "auto")}, {}, labelled);
    return found.format + ": " + found.ground;
  };
  CHECK(recognised(R"({"prompt": "p", "completion": "c"})") == "completion: its columns are 'prompt', 'completion'");
  CHECK(recognised(R"({"output": "o", "instruction": "i", "id": 3})") ==
        "alpaca: its columns are 'instruction', 'output'");
  CHECK(recognised(R"({"instruction": "i", "input": "", "output": "o"})") ==
        "alpaca: its columns are 'instruction', 'input', 'output'");
  CHECK(recognised(R"({"text": "t", "more": 1})") == "text: its columns are 'text'");
  CHECK(recognised(R"({"text": "t", "label": "l"})", true) == "classification: its columns are 'text', 'label'");
  CHECK(recognised(R"({"text": "t", "label": "l"})") == "text: its columns are 'text'");

  DataSource renamed = files.add("r.jsonl", R"({"question": "q", "answer": "a"})", "auto");
  CHECK_THROWS_WITH(read_examples({renamed}),
                    Contains("r.jsonl:1: no format has these columns: 'question', 'answer'") &&
                        Contains("completion: 'prompt', 'completion'"));
  renamed.fields = {{"prompt", "question"}, {"completion", "answer"}};
  const Read found = read_examples({renamed});
  CHECK(found.format == "completion");
  CHECK(found.ground == "its columns are 'question', 'answer'");
  CHECK(found.prompts == std::vector<std::string>{"q"});
  CHECK_THROWS_WITH(recognised(R"({"text": "t", "prompt": "p", "completion": "c", "instruction": "i", "output": "o"})"),
                    Contains("those of several formats") && Contains("'alpaca', 'completion'"));
}

TEST_CASE("format auto passes by rows that cannot be read, and says what it took where a row does not fit") {
  const DataFiles files;
  const auto source = files.add("a.jsonl", "no\n" + numbered_rows(1) + "{\"prompt\": 1}\n", "auto");
  const Read found = read_examples({source}, {.skip = true, .most = 2});
  CHECK(found.format == "completion");
  REQUIRE(found.bad.size() == 2);
  CHECK_THAT(found.bad[1], Contains("a.jsonl:3: no column 'completion', which format 'completion' reads"));
  const Read none = read_examples({files.add("b.jsonl", "no\n", "auto")}, {.skip = true, .most = 2});
  CHECK(none.format == "auto");
  CHECK(none.bad_count == 1);
}

TEST_CASE("rows that cannot be used fail, the first of them in file order on any number of threads") {
  const DataFiles files;
  std::string lines = numbered_rows(3'000);
  lines += "{\"prompt\": 1}\n" + numbered_rows(500) + "no\n";
  const auto source = files.add("a.jsonl", lines, "completion");
  const int threads = at::get_num_threads();
  for (const int count : {1, 4}) {
    at::set_num_threads(count);
    CHECK_THROWS_WITH(read_examples({source}), Contains("a.jsonl:3001: no column 'completion'"));
  }
  at::set_num_threads(threads);
}

TEST_CASE("rows that cannot be used are passed over where that is asked for, counted and shown, up to a limit") {
  const DataFiles files;
  const std::string bytes = numbered_rows(2) + "{\"prompt\": 1}\nnull\n{\"prompt\": \"x\", \"completion\": []}\n" +
                            "{\"prompt\": \"\xff\"}\n" + std::string(kMostRecordBytes + 1, 'x') + "\n\xff\xfe\n[" +
                            "\n" + R"({"prompt": "last", "completion": "c"})";
  const auto source = files.add("a.jsonl", bytes, "completion");
  const Read found = read_examples({source}, {.skip = true, .most = 7});
  CHECK(found.prompts == std::vector<std::string>{"0", "1", "last"});
  CHECK(found.bad_count == 7);
  REQUIRE(found.bad.size() == 5);
  CHECK_THAT(found.bad[0], Contains("a.jsonl:3: no column 'completion'"));
  CHECK_THAT(found.bad[1], Contains("a.jsonl:4: found null"));
  CHECK_THAT(found.bad[4], Contains("a.jsonl:7: a line of more than 16 MiB"));
  CHECK_THROWS_WITH(read_examples({source}, {.skip = true, .most = 6}),
                    Contains("more than 6 rows cannot be used") && Contains("a.jsonl:9") && Contains("a.jsonl:3: no"));
}

TEST_CASE("damaged CSV rows are passed over one by one, a quote that is not closed is not") {
  const DataFiles files;
  const auto source = files.add("a.csv", "prompt,completion\na,b\nc\n\"d\" e,f\n\xff,g\nh,i\n", "completion");
  const Read found = read_examples({source}, {.skip = true, .most = 10});
  CHECK(found.prompts == std::vector<std::string>{"a", "h"});
  CHECK(found.bad_count == 3);
  CHECK_THAT(found.bad[1], Contains("a.csv:4: found text after a closing quote"));
  const auto open = files.add("b.csv", "prompt,completion\na,\"b\nc,d\n", "completion");
  CHECK_THROWS_WITH(read_examples({open}, {.skip = true, .most = 10}), Contains("b.csv:2: a quote opens here"));
}

TEST_CASE("the elements of an array are passed over one by one, an array that is not closed is not") {
  const DataFiles files;
  const auto source =
      files.add("a.json", R"([{"prompt": "a", "completion": "b"}, 3, {"x" 1}, {"prompt": "}]", "completion": ""}])",
                "completion");
  const Read found = read_examples({source}, {.skip = true, .most = 10});
  CHECK(found.prompts == std::vector<std::string>{"a", "}]"});
  CHECK(found.bad_count == 2);
  const auto open = files.add("b.json", R"([{"prompt": "a", "completion": "b"})", "completion");
  CHECK_THROWS_WITH(read_examples({open}, {.skip = true, .most = 10}), Contains("b.json:1: "));
}

TEST_CASE("a pattern's files are one source, and one without a row is fine among others") {
  const DataFiles files;
  files.add("1.jsonl", numbered_rows(2), "");
  files.add("2.jsonl", "\n", "");
  files.add("3.jsonl", numbered_rows(1), "");
  const DataSource source{files.path("?.jsonl").string(), "completion", 1.0, {}};
  CHECK(read_examples({source}).prompts == std::vector<std::string>{"0", "1", "0"});
  CHECK_THROWS_WITH(read_examples({{files.path("2.json*").string(), "auto", 1.0, {}}}),
                    Contains("2.json*: holds no rows"));
}

}  // namespace
}  // namespace lora::test
