// Reading rows: every shape of file that people have, and where in it an error is.

#include "lora/data/rows.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "lora/data/shuffle.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/shared_data.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

struct ReadResult {
  std::vector<std::string> texts;
  std::vector<std::string> places;  // without the directory
  std::string error;
};

ReadResult read_file(const std::filesystem::path& path, const std::string& bytes,
                     const std::map<std::string, std::string>& fields = {}) {
  write_bytes(path, bytes);
  ReadResult result;
  try {
    for_each_row({path.string(), "text", 1.0, fields}, [&](const DataRow& row) {
      result.texts.push_back(row.text("text"));
      result.places.push_back(row.where().substr(path.parent_path().string().size() + 1));
    });
  } catch (const DataError& error) {
    result.error = error.what();
  }
  return result;
}

ReadResult read_rows(const std::string& bytes, const std::map<std::string, std::string>& fields = {}) {
  TemporaryDirectory directory;
  return read_file(directory / "rows.jsonl", bytes, fields);
}

using Texts = std::vector<std::string>;

TEST_CASE("JSONL rows come in file order with their lines") {
  const auto result = read_rows("{\"text\": \"a\"}\n{\"text\": \"b\\nc\"}\n");
  CHECK(result.texts == Texts{"a", "b\nc"});
  CHECK(result.places == Texts{"rows.jsonl:1", "rows.jsonl:2"});
}

TEST_CASE("byte order mark, CRLF, blank lines and a missing last line end are fine") {
  const auto result = read_rows("\xef\xbb\xbf\r\n{\"text\": \"a\"}\r\n\r\n  \n{\"text\": \"b\"}");
  CHECK(result.error.empty());
  CHECK(result.texts == Texts{"a", "b"});
  CHECK(result.places == Texts{"rows.jsonl:2", "rows.jsonl:5"});
}

TEST_CASE("one JSON array is rows too, with element numbers") {
  const auto result =
      read_rows("\xef\xbb\xbf \n[{\"text\": \"a\", \"more\": {\"deep\": [1, {}]}},\n {\"text\": \"b\"}]\n");
  CHECK(result.error.empty());
  CHECK(result.texts == Texts{"a", "b"});
  CHECK(result.places == Texts{"rows.jsonl:2[0]", "rows.jsonl:3[1]"});
}

TEST_CASE("an empty file has no rows") {
  for (const std::string bytes : {"", "\n\r\n", "\xef\xbb\xbf", "[]", " [ ] "}) {
    const auto result = read_rows(bytes);
    CHECK(result.error.empty());
    CHECK(result.texts.empty());
  }
}

TEST_CASE("numbers and booleans become their text") {
  const auto result = read_rows("{\"text\": 12}\n{\"text\": -0.5}\n{\"text\": true}\n{\"text\": 1e3}");
  CHECK(result.texts == Texts{"12", "-0.5", "true", "1000.0"});
}

TEST_CASE("columns are renamed") {
  CHECK(read_rows("{\"body\": \"a\", \"text\": \"no\"}", {{"text", "body"}}).texts == Texts{"a"});
}

TEST_CASE("a missing column names its place, what was found and the nearest name") {
  const auto result = read_rows("{\"text\": \"a\"}\n{\"txt\": \"b\", \"id\": 1}");
  CHECK_THAT(result.error, Contains("rows.jsonl:2: no column 'text', which format 'text' reads; found: 'txt', 'id'"));
  CHECK_THAT(result.error, Contains("did you mean 'txt'"));
  CHECK_THAT(read_rows("{\"text\": \"a\"}", {{"text", "body"}}).error, Contains("no column 'body'"));
  CHECK_THAT(read_rows("[{}]").error, Contains("rows.jsonl:1[0]: no column 'text'") && Contains("found: none"));
}

TEST_CASE("null, arrays and objects are no text") {
  CHECK_THAT(read_rows("{\"text\": null}").error, EndsWith("rows.jsonl:1: column 'text' is null, expected text"));
  CHECK_THAT(read_rows("{\"text\": [\"a\"]}").error, EndsWith("column 'text' is array, expected text"));
  CHECK_THAT(read_rows("{\"text\": {}}").error, EndsWith("column 'text' is object, expected text"));
}

TEST_CASE("a row that is not an object is refused where it stands") {
  CHECK_THAT(read_rows("{\"text\": \"a\"}\n3").error,
             EndsWith("rows.jsonl:2: found number, expected one JSON object a line"));
  CHECK_THAT(read_rows("\"a\"").error, EndsWith("rows.jsonl:1: found string, expected one JSON object a line"));
  CHECK_THAT(read_rows("[{\"text\": \"a\"}, null]").error, EndsWith("rows.jsonl:1[1]: found null, expected an object"));
  CHECK_THAT(read_rows("[[]]").error, EndsWith("rows.jsonl:1[0]: found array, expected an object"));
}

TEST_CASE("text that is not JSON is refused with its line and column") {
  CHECK_THAT(read_rows("{\"text\": \"a\"}\n{\"text\": b}").error,
             Contains("rows.jsonl:2:10: not valid JSON: syntax error") && Contains("one whole object"));
  CHECK_THAT(read_rows("{\n  \"text\": \"a\"\n}").error, Contains("rows.jsonl:1:"));
  CHECK_THAT(read_rows("{\"text\": \"a\"} {\"text\": \"b\"}").error, Contains("rows.jsonl:1:15: not valid JSON"));
  CHECK_THAT(read_rows("{\"text\": \"\xff\"}").error, Contains("UTF-8"));
  CHECK_THAT(read_rows("[{\"text\": \"a\"}, {\"text\"").error,
             Contains("rows.jsonl:1: the element that begins here is not closed"));
  CHECK_THAT(read_rows("[{\"text\": \"a\"}] {}").error, Contains("rows.jsonl:1: found text after the array"));
}

TEST_CASE("a key that is there twice, a lone surrogate and a NUL byte are refused where they stand") {
  CHECK_THAT(read_rows("{\"text\": \"a\"}\n{\"text\": \"a\", \"text\": \"b\"}").error,
             EndsWith("rows.jsonl:2: key 'text' is there twice; expected it once"));
  CHECK_THAT(read_rows("{\"text\": \"a\", \"m\": [{\"k\": 1}, {\"k\": 1, \"k\": 2}]}").error,
             Contains("key 'k' is there twice"));
  CHECK(read_rows("{\"text\": \"a\", \"m\": [{\"k\": 1}, {\"k\": 1}]}").texts == Texts{"a"});
  CHECK_THAT(read_rows(R"({"text": "\ud83d x"})").error, Contains("rows.jsonl:1:") && Contains("surrogate"));
  CHECK_THAT(read_rows(R"({"text": "\udc00"})").error, Contains("surrogate"));
  CHECK_THAT(read_rows(std::string("{\"text\": \"a\0b\"}", 15)).error,
             Contains("rows.jsonl:1:") && Contains("control character"));
  // The parser takes a NUL outside of text for the row's end.
  CHECK_THAT(read_rows(std::string("{\"text\": \"a\"}\0{\"text\": \"b\"}", 27)).error,
             Contains("rows.jsonl:1:14: not valid JSON") && Contains("NUL"));
  CHECK(read_rows(R"({"text": "a\u0000b"})").texts == Texts{std::string("a\0b", 3)});
}

TEST_CASE("a row of more than 16 MiB is refused without being held") {
  const std::string text = "{\"text\": \"" + std::string(size_t{17} << 20, 'x') + "\"}";
  CHECK_THAT(read_rows("{\"text\": \"a\"}\n" + text).error,
             EndsWith("rows.jsonl:2: a line of more than 16 MiB, expected shorter rows"));
  CHECK_THAT(read_rows("[" + text + "]").error, Contains("rows.jsonl:1: an element of more than 16 MiB"));
}

TEST_CASE("a file that cannot be read is named") {
  TemporaryDirectory directory;
  const auto ignore = [](const DataRow&) {};
  CHECK_THROWS_WITH(for_each_row({(directory / "no.jsonl").string(), "text", 1.0, {}}, ignore),
                    Contains("no.jsonl: no such file"));
  CHECK_THROWS_WITH(for_each_row({directory.path().string(), "text", 1.0, {}}, ignore),
                    Contains("is a directory; expected a file, or a pattern such as " + directory.path().string()));
  REQUIRE(::mkfifo((directory / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(for_each_row({(directory / "pipe").string(), "text", 1.0, {}}, ignore),
                    Contains("pipe: is a named pipe"));
  CHECK_THAT(read_file(directory / "utf16.jsonl", std::string("\xff\xfe{\0", 4)).error,
             Contains("utf16.jsonl: is UTF-16 text"));
  CHECK_THAT(read_file(directory / "a.parquet", "PAR1....PAR1").error,
             Contains("a.parquet: ") && Contains("Parquet file"));
}

TEST_CASE("a deeply nested row is refused at its place, and neither crashes nor stops the reading") {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(read_rows("{\"text\": \"a\", \"x\": " + nested(900) + "}").texts == Texts{"a"});
  CHECK_THAT(read_rows(nested(900)).error, Contains("found array"));
  for (const size_t depth : {1'001, 200'000}) {
    CHECK_THAT(read_rows("{\"text\": \"a\", \"x\": " + nested(depth) + "}").error,
               Contains("rows.jsonl:1: nested deeper than 1000"));
    CHECK_THAT(read_rows("[{\"text\": " + nested(depth) + "}]").error, Contains(":1[0]: nested deeper than 1000"));
  }
}

TEST_CASE("damaged files end in rows or a DataError") {
  SplitMix64 random(3);
  TemporaryDirectory directory;
  const std::string lines =
      "{\"text\": \"a \\u00e9 é\", \"n\": [1, 2.5e3, null]}\r\n\n{\"text\": \"b\", \"o\": {\"k\": false}}\n";
  const std::string array = "[{\"text\": \"a\", \"n\": [1]}, {\"text\": \"\\ud83d\\ude00\"}]";
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = i % 2 ? lines : array;
    for (uint64_t edits = random.below(5); edits > 0; --edits) {
      const size_t at = random.below(bytes.size());
      if (random.below(3) == 0) {
        bytes.erase(at, random.below(5));
      } else {
        bytes[at] = random.below(2) ? "{}[]\",:\\\n0"[random.below(10)] : static_cast<char>(random.next());
      }
      if (bytes.empty()) break;
    }
    read_file(directory / std::to_string(i),
              bytes.substr(0, random.below(4) == 0 ? random.below(bytes.size() + 1) : bytes.size()));
  }
}

TEST_CASE("real files are read to their last row") {
  const auto array = shared_data("instruction/instruction-data.json");
  const auto lines = shared_data("gsm8k/test.jsonl");
  if (!array || !lines) return;
  int rows = 0;
  for_each_row({array->string(), "alpaca", 1.0, {}}, [&](const DataRow& row) { rows += !row.text("output").empty(); });
  CHECK(rows == 1100);
  rows = 0;
  for_each_row({lines->string(), "completion", 1.0, {{"prompt", "question"}}},
               [&](const DataRow& row) { rows += !row.text("prompt").empty(); });
  CHECK(rows == 1319);
}

}  // namespace
}  // namespace lora::test
