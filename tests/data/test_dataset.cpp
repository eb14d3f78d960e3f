// Datasets: rows of several files as samples, whatever the number of threads.

#include "lora/data/load.h"

#include <ATen/Parallel.h>

#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/data_files.h"
#include "tests/data/piece_tokenizer.h"
#include "tests/shared_data.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("sources and rows keep their order") {
  DataFiles files;
  const std::vector<DataSource> sources = {
      files.add("b.jsonl", "{\"prompt\": \"p\", \"completion\": \"q\"}\n", "completion"),
      files.add("a.json", "[{\"text\": \"xyz\"}, {\"text\": \"v\"}]", "text")};
  const auto dataset = load_dataset(sources, PieceTokenizer(), {100});
  CHECK(dataset.lengths() == std::vector<int64_t>{4, 5, 3});
  CHECK(dataset.tokens() == 12);
  CHECK(dataset.supervised_tokens() == 8);
  CHECK(dataset.counts() ==
        SourceCounts{.rows = 3, .answers = 1, .ended = 1, .samples = 3, .tokens = 12, .supervised = 8});
  REQUIRE(dataset.sources().size() == 2);
  CHECK(dataset.sources()[0].path == sources[0].path);
  CHECK(dataset.sources()[0].end == 1);
  CHECK(dataset.sources()[1].begin == 1);
  CHECK(dataset.sources()[1].end == 3);
  CHECK(dataset.longest() == 5);
  CHECK(dataset.used_ids()[static_cast<size_t>('x')]);
  CHECK_FALSE(dataset.used_ids()[static_cast<size_t>('w')]);
  const auto examples = load_examples(sources, {});
  REQUIRE(examples.size() == 3);
  CHECK(examples[0].prompt == "p");
  CHECK(examples[1].completion == "xyz");
  CHECK(load_examples(sources, {}, 2).size() == 2);
}

TEST_CASE("reading tells its rows and how much of the files they took") {
  DataFiles files;
  const std::vector<DataSource> sources = {files.add("a.jsonl", numbered_rows(9000), "completion"),
                                           files.add("b.json", "[{\"text\": \"xyz\"}, {\"text\": \"v\"}]", "text")};
  std::vector<std::pair<int64_t, int64_t>> told;
  LoadOptions options{{.max_length = 100}};
  options.on_rows = [&](int64_t rows, int64_t bytes) { told.emplace_back(rows, bytes); };
  load_dataset(sources, PieceTokenizer(), options);
  REQUIRE(told.size() >= 4);  // blocks of at most 4,096 rows
  CHECK(std::ranges::is_sorted(told));
  CHECK(told.front().first < 9000);
  CHECK(told.back().first == 9002);
  CHECK(static_cast<uintmax_t>(told.back().second) ==
        std::filesystem::file_size(files.path("a.jsonl")) + std::filesystem::file_size(files.path("b.json")));
}

TEST_CASE("samples do not depend on the number of threads") {
  DataFiles files;
  std::string lines;
  for (int i = 0; i < 10'000; ++i) lines += "{\"prompt\": \"" + std::to_string(i) + "\", \"completion\": \"a\"}\n";
  const std::vector<DataSource> sources = {files.add("many.jsonl", lines, "completion")};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = load_dataset(sources, PieceTokenizer({"00", "12"}), {6});
  at::set_num_threads(4);
  const auto four = load_dataset(sources, PieceTokenizer({"00", "12"}), {6});
  at::set_num_threads(threads);
  REQUIRE(one.size() == 10'000);
  REQUIRE(same(one, four));
}

TEST_CASE("samples cut to max_length and rows left without a target are counted") {
  DataFiles files;
  const auto source = files.add("c.jsonl",
                                "{\"prompt\": \"abcdefgh\", \"completion\": \"q\"}\n"
                                "{\"prompt\": \"a\", \"completion\": \"qrstuv\"}\n"
                                "{\"prompt\": \"a\", \"completion\": \"q\"}\n",
                                "completion");
  const auto dataset = load_dataset({source}, PieceTokenizer(), {5});
  CHECK(dataset.lengths() == std::vector<int64_t>{5, 4});
  CHECK(dataset.counts().cut == 1);
  CHECK(dataset.counts().untrained == 1);
}

TEST_CASE("nothing left to train on is an error that says why") {
  DataFiles files;
  const auto long_prompts = files.add("l.jsonl", "{\"prompt\": \"abcdefgh\", \"completion\": \"q\"}\n", "completion");
  CHECK_THROWS_AS(load_dataset({long_prompts}, PieceTokenizer(), {4}), DataError);
  CHECK_THROWS_WITH(load_dataset({long_prompts}, PieceTokenizer(), {4}),
                    Contains("no token is left to train on in 1 row") && Contains("max_length 4"));
  const auto empty = files.add("e.jsonl", "{\"prompt\": \"ab\", \"completion\": \"\"}\n", "completion");
  CHECK_THROWS_WITH(load_dataset({empty}, PieceTokenizer({}, false), {10}), Contains("answer without a token"));
}

TEST_CASE("a source without rows is an error, no source is not") {
  DataFiles files;
  const auto empty = files.add("empty.jsonl", "\n", "text");
  CHECK_THROWS_WITH(load_dataset({empty}, PieceTokenizer(), {10}), Contains("empty.jsonl: holds no rows"));
  CHECK_THROWS_AS(load_examples({empty}, {}), DataError);
  CHECK(load_dataset({}, PieceTokenizer(), {10}).size() == 0);
}

TEST_CASE("a filter sees every row in order, may change it, and what it leaves out is counted") {
  DataFiles files;
  std::string lines;
  for (int i = 0; i < 5'000; ++i) lines += "{\"prompt\": \"" + std::to_string(i) + "\", \"completion\": \"a\"}\n";
  const std::vector<DataSource> sources = {files.add("a.jsonl", lines, "completion"),
                                           files.add("b.jsonl", "{\"text\": \"b\"}", "text")};
  int64_t seen = 0;
  const RowFilter filter = [&](std::span<ExampleRow> rows) {
    for (ExampleRow& row : rows) {
      if (row.source == 0) CHECK(row.example.prompt == std::to_string(seen));
      CHECK(row.where == sources[row.source].path + ":" + std::to_string(row.source == 0 ? seen + 1 : 1));
      ++seen;
      row.keep = row.source == 1 || seen % 2 == 0;
      row.example.completion = "xy";
    }
  };
  const auto dataset = load_dataset(sources, PieceTokenizer(), {{.max_length = 20, .filter = filter}});
  CHECK(seen == 5'001);
  CHECK(dataset.sources()[0].counts.filtered == 2'500);
  CHECK(dataset.size() == 2'501);
  CHECK(dataset[0].ids[2] == 'x');
  const RowFilter nothing = [](std::span<ExampleRow> rows) { rows[0].keep = rows[0].source == 0; };
  CHECK_THROWS_WITH(load_dataset(sources, PieceTokenizer(), {{.max_length = 20, .filter = nothing}}),
                    Contains("b.jsonl: none of its 1 rows is left: data.cleaning left out 1"));
}

TEST_CASE("an unknown format is the recipe's error") {
  DataFiles files;
  auto source = files.add("t.jsonl", "{\"text\": \"a\"}", "txt");
  CHECK_THROWS_AS(load_dataset({source}, PieceTokenizer(), {10}), RecipeError);
}

TEST_CASE("a real instruction file becomes a sample a row") {
  const auto model = shared_data("stories260k");
  const auto rows = shared_data("instruction/instruction-data.json");
  if (!model || !rows) return;
  const auto tokenizer = load_tokenizer(*model);
  const auto dataset = load_dataset({{rows->string(), "alpaca", 1.0, {}}}, *tokenizer, {512});
  CHECK(dataset.size() + dataset.counts().untrained == 1100);
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const SampleView sample = dataset[i];
    REQUIRE(sample.ids.size() == sample.supervised.size());
    REQUIRE(sample.ids.front() == tokenizer->bos_id());
    REQUIRE(std::count(sample.ids.begin(), sample.ids.end(), 1) == 1);
    REQUIRE(sample.length() <= 512);
  }
}

}  // namespace
}  // namespace lora::test
