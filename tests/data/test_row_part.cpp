#include "lora/data/row_part.h"

#include <cmath>
#include <set>

#include "lora/data/cache.h"
#include "lora/data/load.h"
#include "tests/catch.h"
#include "tests/data/piece_tokenizer.h"
#include "tests/error_message.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Use = RowPart::Use;

std::vector<int64_t> validation_rows(double share, uint64_t seed, int64_t rows) {
  std::vector<int64_t> found;
  for (int64_t row = 0; row < rows; ++row) {
    const bool validation = uses_row({Use::kValidation, share, seed}, row);
    CHECK(uses_row({Use::kTraining, share, seed}, row) != validation);
    CHECK(uses_row({Use::kAll, share, seed}, row));
    if (validation) found.push_back(row);
  }
  return found;
}

TEST_CASE("each row is of one part, and the share is kept from the first row on") {
  for (const double share : {0.001, 0.02, 0.1, 0.25, 1.0 / 3.0, 0.5, 0.7, 0.99}) {
    const auto rows = validation_rows(share, 42, 5000);
    // Among the first n rows there are share · n, within one and the part of a stretch.
    int64_t seen = 0;
    size_t next = 0;
    for (int64_t n = 1; n <= 5000; ++n) {
      if (next < rows.size() && rows[next] == n - 1) {
        ++seen;
        ++next;
      }
      CHECK(std::abs(static_cast<double>(seen) - share * static_cast<double>(n)) <= 1.0 + 1e-9);
    }
  }
}

TEST_CASE("the seed draws the rows for validation, and they stand at no fixed distance") {
  const auto rows = validation_rows(0.1, 42, 1000);
  CHECK(rows == validation_rows(0.1, 42, 1000));
  CHECK(rows != validation_rows(0.1, 43, 1000));
  std::set<int64_t> places;  // within their stretch
  for (const int64_t row : rows) places.insert(row % 10);
  CHECK(places.size() == 10);
}

TEST_CASE("a share so small that its stretch has no end takes at most a row") {
  CHECK(validation_rows(1e-300, 42, 100).size() <= 1);
}

std::string text_rows(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "{\"text\": \"row " + std::to_string(i) + "\"}\n";
  return text;
}

TEST_CASE("a split source gives the rows of its two parts to training and validation, over all of its files") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.jsonl", text_rows(30));
  write_bytes(directory / "b.jsonl", text_rows(20));
  DataConfig data;
  data.train = {{(directory / "*.jsonl").string(), "auto", 2, {}}};
  data.validation_split = 0.2;
  const DataConfig split = split_off_validation(data, 7);
  REQUIRE(split.validation.size() == 1);
  CHECK(split.validation[0].weight == 1);
  CHECK(split.train[0].weight == 2);
  const auto texts = [&](const std::vector<DataSource>& sources) {
    std::vector<std::string> found;
    for (const Example& example : load_examples(sources, split)) found.push_back(example.completion);
    return found;
  };
  const auto train = texts(split.train), validation = texts(split.validation), all = texts(data.train);
  CHECK(all.size() == 50);
  std::vector<std::string> expected_train, expected_validation;
  for (size_t row = 0; row < all.size(); ++row) {
    const bool held_out = uses_row({Use::kValidation, 0.2, 7}, static_cast<int64_t>(row));
    (held_out ? expected_validation : expected_train).push_back(all[row]);
  }
  CHECK(train == expected_train);
  CHECK(validation == expected_validation);
  CHECK(validation.size() == 10);
}

TEST_CASE("the cache keeps the parts of a source apart, by seed") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.jsonl", text_rows(3));
  const auto key = [&](const RowPart& part) {
    return cache_key({{(directory / "a.jsonl").string(), "auto", 1, {}, "", {}, 1, part}}, nullptr, {})->text;
  };
  const std::set<std::string> keys = {key({}), key({Use::kTraining, 0.1, 1}), key({Use::kValidation, 0.1, 1}),
                                      key({Use::kTraining, 0.1, 2}), key({Use::kValidation, 0.1, 2})};
  CHECK(keys.size() == 5);
}

// scikit-learn's train_test_split(test_size=7) of 30 rows has 7, exactly.
TEST_CASE("a number of rows is split off exactly, of each source in proportion, and the rest is trained on") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.jsonl", text_rows(21));
  write_bytes(directory / "b.jsonl", text_rows(9));
  DataConfig data;
  data.train = {{(directory / "a.jsonl").string(), "auto", 1, {}}, {(directory / "b.jsonl").string(), "auto", 1, {}}};
  for (int64_t count = 1; count < 30; ++count) {
    data.validation_split = static_cast<double>(count);
    const DataConfig split = split_off_validation(data, 5);
    int64_t seen = 0;
    for (size_t source = 0; source < 2; ++source) {
      const int64_t rows = source == 0 ? 21 : 9;
      int64_t here = 0;
      for (int64_t row = 0; row < rows; ++row) {
        const bool validation = uses_row(split.validation[source].part, row);
        CHECK(uses_row(split.train[source].part, row) != validation);
        here += validation;
      }
      CHECK(std::abs(static_cast<double>(here) - static_cast<double>(count * rows) / 30) < 1);
      seen += here;
    }
    CHECK(seen == count);
  }
  data.validation_split = 30;
  CHECK_THROWS_WITH(split_off_validation(data, 5), Catch::Matchers::Contains("30 rows of the 30 that data.train has"));
}

TEST_CASE("a number of rows is drawn by the seed, and rows that come later are trained on") {
  const RowPart validation{.use = Use::kValidation, .share = 0.25, .seed = 3, .chosen = 25, .rows = 100};
  RowPart training = validation, other = validation;
  training.use = Use::kTraining;
  other.seed = 4;
  int64_t same = 0, count = 0;
  for (int64_t row = 0; row < 100; ++row) {
    count += uses_row(validation, row);
    same += uses_row(validation, row) && uses_row(other, row);
  }
  CHECK(count == 25);
  CHECK(same < 25);
  CHECK_FALSE(uses_row(validation, 100));
  CHECK(uses_row(training, 100));
}

TEST_CASE("only the rows of a part are counted, and refused where they are bad") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.jsonl", text_rows(40) + "{\"text\": 5.}\n");
  DataConfig data;
  data.train = {{(directory / "a.jsonl").string(), "auto", 1, {}}};
  data.validation_split = 0.1;
  const PieceTokenizer tokenizer;
  const auto load = [&](uint64_t seed, bool validation) {
    const DataConfig split = split_off_validation(data, seed);
    LoadOptions options{{.max_length = 32, .data = split}};
    return load_dataset(validation ? split.validation : split.train, tokenizer, options);
  };
  // The bad row is the 41st: in one of the parts alone, whichever the seed draws.
  for (uint64_t seed = 1; seed < 20; ++seed) {
    const bool in_validation = uses_row({Use::kValidation, 0.1, seed}, 40);
    int64_t train_rows = 36, validation_rows = 4;  // of a part without the bad row
    const auto train = error_message<DataError>([&] { train_rows = load(seed, false).counts().rows; });
    const auto validation = error_message<DataError>([&] { validation_rows = load(seed, true).counts().rows; });
    CHECK(train_rows == 36);
    CHECK(validation_rows == 4);
    CHECK(validation.empty() == !in_validation);
    CHECK(train.empty() == in_validation);
  }
}

}  // namespace
}  // namespace lora::test
