// Datasets: rows of several files as samples, whatever the number of threads.

#include "lora/data/dataset.h"

#include <ATen/Parallel.h>

#include "models/error.h"
#include "tests/catch.h"
#include "tests/data/piece_tokenizer.h"
#include "tests/shared_data.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

class Files {
 public:
  DataSource add(const std::string& name, const std::string& bytes, const std::string& format) {
    write_bytes(directory_ / name, bytes);
    return {(directory_ / name).string(), format, 1.0, {}};
  }

 private:
  TemporaryDirectory directory_;
};

TEST_CASE("sources and rows keep their order") {
  Files files;
  const std::vector<DataSource> sources = {
      files.add("b.jsonl", "{\"prompt\": \"p\", \"completion\": \"q\"}\n", "completion"),
      files.add("a.json", "[{\"text\": \"xyz\"}, {\"text\": \"v\"}]", "text")};
  const auto dataset = load_dataset(sources, PieceTokenizer(), 100);
  CHECK(dataset.lengths() == std::vector<int64_t>{4, 5, 3});
  CHECK(dataset.tokens() == 12);
  CHECK(dataset.supervised_tokens() == 8);
  CHECK(dataset.cut == 0);
  CHECK(dataset.dropped == 0);
  const auto examples = load_examples(sources);
  REQUIRE(examples.size() == 3);
  CHECK(examples[0].prompt == "p");
  CHECK(examples[1].completion == "xyz");
}

TEST_CASE("samples do not depend on the number of threads") {
  Files files;
  std::string lines;
  for (int i = 0; i < 10'000; ++i) lines += "{\"prompt\": \"" + std::to_string(i) + "\", \"completion\": \"a\"}\n";
  const std::vector<DataSource> sources = {files.add("many.jsonl", lines, "completion")};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = load_dataset(sources, PieceTokenizer({"00", "12"}), 6);
  at::set_num_threads(4);
  const auto four = load_dataset(sources, PieceTokenizer({"00", "12"}), 6);
  at::set_num_threads(threads);
  REQUIRE(one.samples.size() == 10'000);
  REQUIRE(four.samples.size() == one.samples.size());
  CHECK(one.cut == four.cut);
  for (size_t i = 0; i < one.samples.size(); ++i) {
    REQUIRE(one.samples[i].ids == four.samples[i].ids);
    REQUIRE(one.samples[i].supervised == four.samples[i].supervised);
  }
}

TEST_CASE("samples cut to max_length and rows left without a target are counted") {
  Files files;
  const auto source = files.add("c.jsonl",
                                "{\"prompt\": \"abcdefgh\", \"completion\": \"q\"}\n"
                                "{\"prompt\": \"a\", \"completion\": \"qrstuv\"}\n"
                                "{\"prompt\": \"a\", \"completion\": \"q\"}\n",
                                "completion");
  const auto dataset = load_dataset({source}, PieceTokenizer(), 5);
  CHECK(dataset.lengths() == std::vector<int64_t>{5, 4});
  CHECK(dataset.cut == 1);
  CHECK(dataset.dropped == 1);
}

TEST_CASE("nothing left to train on is an error that says why") {
  Files files;
  const auto long_prompts = files.add("l.jsonl", "{\"prompt\": \"abcdefgh\", \"completion\": \"q\"}\n", "completion");
  CHECK_THROWS_AS(load_dataset({long_prompts}, PieceTokenizer(), 4), DataError);
  CHECK_THROWS_WITH(load_dataset({long_prompts}, PieceTokenizer(), 4),
                    Contains("no token is left to train on in 1 row") && Contains("max_length 4"));
  const auto empty = files.add("e.jsonl", "{\"prompt\": \"ab\", \"completion\": \"\"}\n", "completion");
  CHECK_THROWS_WITH(load_dataset({empty}, PieceTokenizer({}, false), 10), Contains("answer without a token"));
}

TEST_CASE("a source without rows is an error, no source is not") {
  Files files;
  const auto empty = files.add("empty.jsonl", "\n", "text");
  CHECK_THROWS_WITH(load_dataset({empty}, PieceTokenizer(), 10), Contains("empty.jsonl: holds no rows"));
  CHECK_THROWS_AS(load_examples({empty}), DataError);
  CHECK(load_dataset({}, PieceTokenizer(), 10).samples.empty());
}

TEST_CASE("an unknown format and a weight that is not supported are the recipe's errors") {
  Files files;
  auto source = files.add("t.jsonl", "{\"text\": \"a\"}", "txt");
  CHECK_THROWS_AS(load_dataset({source}, PieceTokenizer(), 10), RecipeError);
  source.format = "text";
  source.weight = 0.5;
  CHECK_THROWS_WITH(load_dataset({source}, PieceTokenizer(), 10), Contains("weight"));
}

TEST_CASE("a real instruction file becomes a sample a row") {
  const auto model = shared_data("stories260k");
  const auto rows = shared_data("instruction/instruction-data.json");
  if (!model || !rows) return;
  const auto tokenizer = load_tokenizer(*model);
  const auto dataset = load_dataset({{rows->string(), "alpaca", 1.0, {}}}, *tokenizer, 512);
  CHECK(dataset.samples.size() + static_cast<size_t>(dataset.dropped) == 1100);
  for (const Sample& sample : dataset.samples) {
    REQUIRE(sample.ids.size() == sample.supervised.size());
    REQUIRE(sample.ids.front() == tokenizer->bos_id());
    REQUIRE(std::count(sample.ids.begin(), sample.ids.end(), 1) == 1);
    REQUIRE(sample.length() <= 512);
  }
}

}  // namespace
}  // namespace lora::test
