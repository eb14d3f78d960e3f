// CSV: RFC 4180 to the letter, and where in the file an error is.

#include "lora/data/csv.h"

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "lora/data/rows.h"
#include "lora/data/shuffle.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/shared_data.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;
using Record = std::vector<std::string>;
using Records = std::vector<Record>;

Records records_of(const std::string& bytes) {
  std::istringstream in(bytes);
  CsvReader reader(*in.rdbuf(), "a.csv");
  Records records;
  for (Record fields; reader.next(fields);) records.push_back(fields);
  return records;
}

// What a file's rows look like to a format, or the error.
std::string rows(const std::string& bytes, const std::string& name = "rows.csv") {
  const TemporaryDirectory directory;
  write_bytes(directory / name, bytes);
  std::string text;
  try {
    for_each_row({(directory / name).string(), "text", 1.0, {{"text", "body"}}}, [&](const DataRow& row) {
      text += row.where().substr(row.where().rfind(':') + 1) + "=" + row.text("text") + ";";
    });
  } catch (const DataError& error) {
    text += error.what();
  }
  return text;
}

TEST_CASE("fields, quotes, doubled quotes, commas and line ends within quotes") {
  CHECK(records_of("a,b\nc,d\n") == Records{{"a", "b"}, {"c", "d"}});
  CHECK(records_of("\"a,1\",\"say \"\"so\"\"\"\n\"two\nlines\",\"\"") ==
        Records{{"a,1", "say \"so\""}, {"two\nlines", ""}});
  CHECK(records_of(" a , b \n") == Records{{" a ", " b "}});
  CHECK(records_of("\"a\r\nb\"\r\n") == Records{{"a\r\nb"}});
}

TEST_CASE("CRLF and LF end lines, the last line end may be missing, and blank lines are no records") {
  for (const std::string bytes :
       {"a,b\nc,d\n", "a,b\r\nc,d\r\n", "a,b\r\nc,d", "a,b\nc,d\r", "\n\na,b\r\n\r\nc,d\n\n"}) {
    CHECK(records_of(bytes) == Records{{"a", "b"}, {"c", "d"}});
  }
  CHECK(records_of("") == Records{});
  CHECK(records_of("\r\n\n") == Records{});
}

TEST_CASE("empty fields are fields") {
  CHECK(records_of(",\n") == Records{{"", ""}});
  CHECK(records_of("a,\n,b\n\"\"\n") == Records{{"a", ""}, {"", "b"}, {""}});
}

TEST_CASE("what RFC 4180 leaves no meaning is refused where it stands") {
  CHECK_THROWS_WITH(records_of("a\n\"b\nc"), Contains("a.csv:2: a quote opens here and is never closed"));
  CHECK_THROWS_WITH(records_of("a\n\"b\"c\n"), Contains("a.csv:2: found text after a closing quote"));
  CHECK_THROWS_WITH(records_of("a\rb\r"), Contains("a.csv:1: found a carriage return without a line feed"));
  CHECK_THROWS_WITH(records_of("a\n\"b\n\xff\""), Contains("a.csv:2: this field is not UTF-8"));
  CHECK_THROWS_WITH(records_of("\"" + std::string(17 << 20, 'x')), Contains("a.csv:1: a record of more than 16 MiB"));
  CHECK_THROWS_AS(records_of("\""), DataError);
}

// pandas.read_csv and datasets give the same fields.
TEST_CASE("a quote within a field that does not begin with one is text") {
  CHECK(rows("body,label\nsay \"x\" now,0\n5\" pipe,1\nx\"\",1\n") == "2=say \"x\" now;3=5\" pipe;4=x\"\";");
  CHECK(rows("body\tlabel\nthe \"a\", b\t1\n", "rows.tsv") == "2=the \"a\", b;");
  CHECK_THAT(rows("body,label\nx\"a\nb,1\n"), Contains("rows.csv:2: found 1 field, expected 2"));
}

TEST_CASE("bytes that only look like UTF-8 are refused") {
  for (const std::string bytes : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
                                  "\xe2\x82", "\x80", "\xff\xfe"}) {
    CHECK_THROWS_WITH(records_of(bytes), Contains("not UTF-8"));
  }
  CHECK(records_of("é€😀") == Records{{"é€😀"}});
}

TEST_CASE("tabs separate the fields of a file named so") {
  CHECK(rows("id\tbody\n1\ta, b\n2\t\"c\td\"\n", "rows.tsv") == "2=a, b;3=c\td;");
  CHECK_THAT(rows(std::string("id,body\n1,a\0b\n", 14)), Contains("rows.csv:2: found a NUL byte"));
}

TEST_CASE("a CSV file's rows have its header's columns and the lines they begin on") {
  CHECK(rows("\xef\xbb\xbf"
             "id,body\r\n1,a\r\n2,\"b\nb\"\r\n3,c") == "2=a;3=b\nb;5=c;");
  CHECK(rows("id,body\n1,\"a,\"\"b\"\n", "ROWS.CSV") == "2=a,\"b;");
  CHECK(rows(",body\n0,a\n") == "2=a;");
  CHECK(rows("body\n").empty());
}

TEST_CASE("a column without a name is not read, which is told unless it is an index at the front") {
  const TemporaryDirectory directory;
  write_bytes(directory / "rows.csv", ",body,\n0,a,\n1,b,lost\n");
  std::vector<std::vector<std::string>> unread;
  DataSource source;
  source.path = (directory / "rows.csv").string();
  for_each_row(source, [&](const DataRow& row) {
    row.text("body");
    unread.push_back(row.unread());
  });
  CHECK(unread == std::vector<std::vector<std::string>>{{}, {"(column 3)"}});
}

TEST_CASE("a header or a row that does not fit is refused") {
  CHECK_THAT(rows(""), Contains("rows.csv: empty; expected a first line that names the columns"));
  CHECK_THAT(rows("body,body\n1,2\n"), Contains("rows.csv:1: two columns are named 'body'"));
  CHECK_THAT(rows("id,body\n1,a\n2,b,c\n"), Contains("rows.csv:3: found 3 fields, expected 2") && Contains("quotes"));
  CHECK_THAT(rows("id,body\n1\n"), Contains("rows.csv:2: found 1 field, expected 2"));
  CHECK_THAT(rows("id,bdy\n1,a\n"), Contains("rows.csv:2: no column 'body'") && Contains("did you mean 'bdy'"));
}

TEST_CASE("whatever is written with quotes is read back") {
  SplitMix64 random(11);
  const Record pieces = {"a", ",", "\"", "\n", "\r\n", "\r", " ", "é", "😀", "x,y", "\"\"", ";", "\t"};
  for (int round = 0; round < 2000; ++round) {
    Records wanted(1 + random.below(4));
    const bool crlf = random.below(2);
    const uint64_t columns = 1 + random.below(3);
    std::string bytes;
    for (Record& record : wanted) {
      for (uint64_t column = 0; column < columns; ++column) {
        std::string& field = record.emplace_back();
        for (uint64_t n = random.below(5); n > 0; --n) field += pieces[random.below(pieces.size())];
        // An empty only field is a blank line unless it is quoted.
        const bool plain = field.find_first_of(",\"\r\n") == std::string::npos && !(columns == 1 && field.empty());
        std::string quoted = "\"";
        for (const char c : field) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
        if (column > 0) bytes += ',';
        bytes += plain && random.below(2) ? field : quoted + "\"";
      }
      bytes += crlf ? "\r\n" : "\n";
    }
    if (random.below(2)) bytes.pop_back();
    CAPTURE(bytes);
    REQUIRE(records_of(bytes) == wanted);
  }
}

TEST_CASE("damaged CSV ends in rows or a DataError") {
  SplitMix64 random(5);
  const std::string whole = "text,label\r\n\"a, \"\"b\"\"\",x\r\n\"é\n\",y\nplain,z\n";
  int refused = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string bytes = whole;
    for (uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
      const size_t at = random.below(bytes.size());
      if (random.below(4) == 0) {
        bytes.erase(at, random.below(4));
      } else {
        bytes[at] = random.below(2) ? "\",\r\n\0\xc3"[random.below(6)] : static_cast<char>(random.next());
      }
      if (bytes.empty()) break;
    }
    try {
      for (const Record& record : records_of(bytes)) CHECK_FALSE(record.empty());
    } catch (const DataError&) {
      ++refused;
    }
  }
  CHECK(refused > 500);
  CHECK(refused < 4900);
}

TEST_CASE("a real CSV file is read to its last row") {
  const auto path = shared_data("banking77/train.csv");
  if (!path) return;
  int64_t count = 0, line_ends = 0;
  std::set<std::string> labels;
  const DataSource source{path->string(), "completion", 1.0, {{"prompt", "text"}, {"completion", "category"}}};
  for_each_row(source, [&](const DataRow& row) {
    ++count;
    line_ends += row.text("prompt").find('\n') != std::string::npos;
    labels.insert(row.text("completion"));
  });
  CHECK(count == 10003);
  CHECK(line_ends == 10);
  CHECK(labels.size() == 77);
}

}  // namespace
}  // namespace lora::test
