// Training data read in passing: which windows it has, what is held, and what ends it.

#include "lora/data/sample_stream.h"

#include <ATen/Parallel.h>

#include "lora/data/cleaning/load_filter.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/data_files.h"
#include "tests/data/piece_tokenizer.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

using Texts = std::vector<std::string>;

struct Stream {
  Stream(std::vector<DataSource> of, int64_t buffer, const SampleOptions& options = {})
      : samples(std::move(of), tokenizer, options, buffer) {}
  Texts texts() const {
    Texts all;
    for (int64_t i = 0; i < samples.window().size(); ++i) {
      const auto ids = samples.window()[i].ids;
      all.push_back(tokenizer.decode({ids.begin(), ids.end()}));
    }
    return all;
  }
  Texts window(int64_t number) {
    REQUIRE(samples.seek(number));
    return texts();
  }
  PieceTokenizer tokenizer;
  SampleStream samples;
};

std::vector<int64_t> sizes(const std::vector<SourcePart>& sources) {
  std::vector<int64_t> all;
  for (const SourcePart& source : sources) all.push_back(source.end - source.begin);
  return all;
}

TEST_CASE("the windows of a pass have every sample once, in the order of the sources") {
  const DataFiles files;
  Stream stream({files.add("a.jsonl", numbered_rows(7), "completion"), files.add("b.jsonl", numbered_rows(4), "auto")},
                5);
  CHECK(stream.window(0) == Texts{"0a", "1a", "2a", "3a", "4a"});
  CHECK(stream.window(1) == Texts{"5a", "6a", "0a", "1a", "2a"});
  CHECK(sizes(stream.samples.window().sources()) == std::vector<int64_t>{2, 3});
  CHECK(stream.window(2) == Texts{"3a"});
  CHECK(stream.samples.passes() == 0);
  CHECK(stream.window(3) == Texts{"0a", "1a", "2a", "3a", "4a"});
  CHECK(stream.samples.passes() == 1);
  CHECK(stream.samples.sources()[0].counts.rows == 14);
  CHECK(stream.samples.sources()[1].counts.samples == 4);
  CHECK(stream.samples.sources()[1].format == "completion");
}

TEST_CASE("a pass that ends with a window is not followed by an empty one") {
  const DataFiles files;
  Stream stream({files.add("a.jsonl", numbered_rows(4), "completion")}, 2);
  CHECK(stream.window(1) == Texts{"2a", "3a"});
  CHECK(stream.window(2) == Texts{"0a", "1a"});
}

TEST_CASE("a window is the same however it is come to, and on any number of threads") {
  const DataFiles files;
  const DataSource source = files.add("a.jsonl", numbered_rows(9'001), "completion");
  Stream stream({source}, 1'000);
  std::vector<Texts> windows;
  for (int64_t i = 0; i < 12; ++i) windows.push_back(stream.window(i));
  CHECK(windows[9].size() == 1);
  CHECK(stream.window(3) == windows[3]);
  const int threads = at::get_num_threads();
  for (const int count : {1, 2}) {
    at::set_num_threads(count);
    Stream other({source}, 1'000);
    CHECK(other.window(11) == windows[11]);
    const auto& read = other.samples.read()[0];
    CHECK(read.samples == 11'001);
    Stream again({source}, 1'000);
    for (int64_t i = 0; i < 12; ++i) again.window(i);
    CHECK(again.samples.read()[0].sha256 == read.sha256);
  }
  at::set_num_threads(threads);
}

TEST_CASE("no more is held than a window and a block of rows") {
  const DataFiles files;
  Stream stream({files.add("a.jsonl", numbered_rows(30'000), "completion")}, 100);
  for (int64_t i = 0; i < 400; ++i) REQUIRE(stream.samples.seek(i));
  CHECK(stream.samples.passes() == 1);
  CHECK(stream.samples.most_held() <= 100 + 4096);
  CHECK(stream.samples.window().packed_bytes() < 100 * 100);
}

TEST_CASE("a stream knows of other bytes, behind it and before it") {
  const DataFiles files;
  const auto read = [&](const std::string& rows) {
    Stream stream({files.add("a.jsonl", rows, "completion")}, 10);
    stream.window(1);
    return std::pair(stream.samples.read()[0].bytes, stream.samples.read()[0].sha256);
  };
  const std::string rows = numbered_rows(100);
  std::string other = rows, longer = rows + numbered_rows(1);
  other[other.find("\"3\"") + 1] = '9';
  CHECK(read(rows) == read(rows));
  CHECK(read(other).second != read(rows).second);
  CHECK(read(longer).first != read(rows).first);
}

TEST_CASE("a file that changes between two passes is an error") {
  const DataFiles files;
  Stream stream({files.add("a.jsonl", numbered_rows(20), "completion")}, 10);
  CHECK(stream.window(2).size() == 10);
  files.add("a.jsonl", numbered_rows(19), "completion");
  CHECK(stream.window(3).size() == 10);  // was read before the change
  CHECK_THROWS_WITH(stream.samples.seek(5), Contains("a.jsonl: changed since it was read before"));
}

TEST_CASE("a stream's rows are cleaned in passing, and a source that has none left is an error") {
  const DataFiles files;
  DataConfig data;
  data.train = {files.add("a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n{\"text\": \"three\"}\n", "text")};
  data.validation = {files.add("v.jsonl", "{\"text\": \"Two\"}\n", "text")};
  CleaningConfig& rules = data.cleaning;
  rules.exact_duplicates = rules.near_duplicates.action = rules.conflicting_answers = RuleAction::kOff;
  rules.contamination.action = RuleAction::kDrop;
  const auto load = [&] {
    CleaningFilters filters(data, 3);
    Stream stream(data.train, 2, {.data = data, .filter = filters.stream()});
    const Texts first = stream.window(0);
    CHECK(stream.window(1) == first);
    CHECK(filters.report().train[0].rows == 6);
    return first;
  };
  CHECK(load() == Texts{"one", "three"});
  rules.length = {RuleAction::kDrop, 100, {}};
  CleaningFilters filters(data, 3);
  Stream none(data.train, 2, {.data = data, .filter = filters.stream()});
  CHECK_THROWS_WITH(none.samples.seek(0), Contains("a.jsonl: none of its 3 rows is left: data.cleaning left out 3"));
}

TEST_CASE("a stream says what is wrong when it comes to it") {
  const DataFiles files;
  Stream stream({files.add("a.jsonl", numbered_rows(5'000) + "{\"prompt\": \"x\"}\n", "completion")}, 100);
  stream.window(3);
  CHECK_THROWS_WITH(stream.samples.seek(49), Contains("a.jsonl:5001: no column 'completion'"));
  Stream empty({files.add("b.jsonl", "", "completion")}, 100);
  CHECK_THROWS_WITH(empty.samples.seek(0), Contains("b.jsonl: holds no rows"));
  DataConfig data;
  data.on_error = OnError::kSkip;
  Stream passed({files.add("c.jsonl", numbered_rows(3) + "{\n", "completion")}, 100, {.data = data});
  CHECK(passed.window(1) == Texts{"0a", "1a", "2a"});
  CHECK(passed.samples.sources()[0].counts.unreadable == 2);
  Stream nothing({files.add("d.jsonl", "{\n", "completion")}, 100, {.data = data});
  CHECK_THROWS_WITH(nothing.samples.seek(0), Contains("no token is left to train on in 1 row: 1 cannot be used"));
}

}  // namespace
}  // namespace lora::test
