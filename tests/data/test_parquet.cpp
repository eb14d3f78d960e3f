// Parquet: the rows that pyarrow wrote, and bytes that are none.

#include "lora/data/parquet.h"

#include "lora/data/load.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/data_files.h"
#include "tests/data/piece_tokenizer.h"
#include "tests/paths.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

std::filesystem::path golden_parquet(const std::string& name) { return source_dir() / "tests/golden/parquet" / name; }

#ifndef LORA_PARQUET

TEST_CASE("without Arrow a Parquet file is refused by name, and how to read it is said") {
  CHECK_THROWS_WITH(
      RowReader(golden_parquet("rows.parquet").string()),
      Contains("rows.parquet: is a Parquet file, and this is built without Parquet (cmake -DLORA_PARQUET") &&
          Contains("to_json"));
}

#else

using nlohmann::ordered_json;

std::vector<ordered_json> all_rows(const std::string& path) {
  RowReader reader(path);
  std::vector<ordered_json> rows;
  for (RawRow row; reader.next(row);) rows.push_back(reader.parse(row));
  return rows;
}

LoadedDataset load(const DataSource& source, OnError on_error = OnError::kFail) {
  LoadOptions options{{.max_length = 1000}};
  options.data.on_error = on_error;
  return load_dataset({source}, PieceTokenizer(), options);
}

TEST_CASE("a Parquet file's rows are those that were written: text, dictionaries, numbers, conversations") {
  const auto rows = all_rows(golden_parquet("rows.parquet").string());
  CHECK(rows == all_rows(golden_parquet("rows.jsonl").string()));
  CHECK(rows.size() == 10);
}

TEST_CASE("a Parquet file makes the samples that the same rows make as JSON lines") {
  const auto of = [&](const std::string& name) {
    const LoadedDataset data = load({golden_parquet(name).string(), "completion", 1.0, {{"completion", "kind"}}});
    std::vector<std::vector<int32_t> > ids;
    for (int64_t i = 0; i < data.size(); ++i) ids.emplace_back(data[i].ids.begin(), data[i].ids.end());
    return ids;
  };
  CHECK(of("rows.parquet") == of("rows.jsonl"));
  CHECK(of("rows.parquet").size() == 10);
}

TEST_CASE("rows of Parquet that cannot be used are named by file and row") {
  CHECK_THROWS_WITH(load({golden_parquet("rows.parquet").string(), "completion", 1.0, {}}),
                    Contains("rows.parquet:8: column 'completion' is null, expected text"));
  CHECK_THROWS_WITH(load({golden_parquet("not-utf8.parquet").string(), "completion", 1.0, {}}),
                    Contains("not-utf8.parquet:2: column 'prompt' holds bytes that are not UTF-8"));
  const LoadedDataset kept = load({golden_parquet("not-utf8.parquet").string(), "completion", 1.0, {}}, OnError::kSkip);
  CHECK(kept.size() == 2);
  CHECK(kept.sources()[0].counts.unreadable == 1);
}

TEST_CASE("a Parquet file that is cut short or changed is an error or other rows, never a crash") {
  const DataFiles files;
  const std::string whole = read_bytes(golden_parquet("rows.parquet"));
  int refused = 0;
  const auto try_bytes = [&](const std::string& bytes) {
    const DataSource source = files.add("a.parquet", bytes, "completion");
    try {
      all_rows(source.path);
    } catch (const DataError& error) {
      ++refused;
      CHECK_THAT(std::string(error.what()), Contains("a.parquet"));
    }
  };
  for (size_t size = 4; size < whole.size(); size += 97) try_bytes(whole.substr(0, size));
  CHECK(refused == static_cast<int>((whole.size() - 4 + 96) / 97));
  for (size_t at = 4; at < whole.size(); at += 13) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x41);
    try_bytes(changed);
  }
  CHECK(refused > 100);
}

#endif

}  // namespace
}  // namespace lora::test
