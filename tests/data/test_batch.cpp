// The plan of an epoch and the tensors of a step.

#include "lora/data/batch.h"

#include <set>

#include "lora/data/shuffle.h"
#include "models/base/error.h"
#include "tests/catch.h"

namespace lora::test {
namespace {

using Plan = std::vector<std::vector<int64_t>>;
using Lengths = std::vector<int64_t>;

Plan plan_of(const EpochPlan& rows) {
  Plan plan;
  for (int64_t i = 0; i < rows.size(); ++i) plan.emplace_back(rows[i].begin(), rows[i].end());
  return plan;
}

std::vector<int64_t> random_lengths(size_t count, int64_t longest, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < count; ++i) lengths.push_back(1 + static_cast<int64_t>(random.below(longest)));
  return lengths;
}

// Rows that first-fit, in the order given, would need.
size_t first_fit_rows(const std::vector<int64_t>& lengths, int64_t max_length) {
  std::vector<int64_t> rooms;
  for (const int64_t length : lengths) {
    auto room = std::find_if(rooms.begin(), rooms.end(), [&](int64_t free) { return free >= length; });
    if (room == rooms.end()) room = rooms.insert(rooms.end(), max_length);
    *room -= length;
  }
  return rooms.size();
}

std::vector<int64_t> tensor_values(const at::Tensor& tensor) {
  const auto* data = tensor.const_data_ptr<int64_t>();
  return {data, data + tensor.numel()};
}

TEST_CASE("SplitMix64 gives its published numbers") {
  SplitMix64 random(1234567);
  CHECK(random.next() == 6457827717110365317u);
  CHECK(random.next() == 3203168211198807973u);
  CHECK(random.next() == 9817491932198370423u);
}

TEST_CASE("a bounded draw stays in its bound and reaches all of it") {
  SplitMix64 random(7);
  std::vector<int> counts(5);
  for (int i = 0; i < 5000; ++i) ++counts.at(random.below(5));
  for (const int count : counts) CHECK(std::abs(count - 1000) < 150);
  CHECK(random.below(1) == 0);
}

TEST_CASE("every sample is in just one row, and no row is too long") {
  const auto lengths = random_lengths(2000, 300, 11);
  for (const bool packing : {false, true}) {
    for (const bool shuffled : {false, true}) {
      std::vector<int> seen(lengths.size());
      for (const auto& row : plan_of(plan_epoch(lengths, packing, 512, shuffled, 42, 3))) {
        REQUIRE_FALSE(row.empty());
        REQUIRE((packing || row.size() == 1));
        int64_t tokens = 0;
        for (const int64_t sample : row) {
          ++seen.at(sample);
          tokens += lengths[sample];
        }
        REQUIRE(tokens <= 512);
      }
      REQUIRE(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
    }
  }
}

TEST_CASE("packing needs no more rows than first-fit") {
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
    const auto lengths = random_lengths(500, 100 + 50 * static_cast<int64_t>(seed), seed);
    const auto rows = rows_per_epoch(lengths, true, 512);
    CHECK(rows <= static_cast<int64_t>(first_fit_rows(lengths, 512)));
  }
}

TEST_CASE("best fit decreasing, by hand") {
  CHECK(plan_of(plan_epoch(Lengths{5, 7, 3, 3, 2}, true, 10, false, 0, 0)) == Plan{{0, 3, 4}, {1, 2}});
  CHECK(plan_of(plan_epoch(Lengths{10, 1, 10}, true, 10, false, 0, 0)) == Plan{{0}, {1}, {2}});
  CHECK(plan_of(plan_epoch(Lengths{4, 4}, false, 10, false, 0, 0)) == Plan{{0}, {1}});
  CHECK(plan_epoch(Lengths{}, true, 10, true, 0, 0).empty());
}

TEST_CASE("the plan follows seed and epoch and nothing else") {
  const auto lengths = random_lengths(300, 200, 5);
  for (const bool packing : {false, true}) {
    const auto plan = plan_of(plan_epoch(lengths, packing, 512, true, 42, 0));
    CHECK(plan == plan_of(plan_epoch(lengths, packing, 512, true, 42, 0)));
    CHECK(plan != plan_of(plan_epoch(lengths, packing, 512, true, 42, 1)));
    CHECK(plan != plan_of(plan_epoch(lengths, packing, 512, true, 43, 0)));
    CHECK(plan_of(plan_epoch(lengths, packing, 512, false, 42, 0)) ==
          plan_of(plan_epoch(lengths, packing, 512, false, 43, 9)));
  }
}

TEST_CASE("a plan made today is the plan of every platform") {
  CHECK(plan_of(plan_epoch(Lengths{1, 1, 1, 1, 1, 1}, false, 1, true, 42, 0)) == Plan{{5}, {4}, {0}, {3}, {1}, {2}});
}

TEST_CASE("every epoch has as many rows") {
  const auto lengths = random_lengths(700, 400, 9);
  const auto rows = rows_per_epoch(lengths, true, 512);
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    CHECK(plan_epoch(lengths, true, 512, true, 42, epoch).size() == rows);
  }
  CHECK(rows_per_epoch(lengths, false, 512) == 700);
}

TEST_CASE("without shuffling, rows follow the order of their first samples") {
  int64_t last = -1;
  for (const auto& row : plan_of(plan_epoch(random_lengths(200, 300, 4), true, 512, false, 0, 0))) {
    CHECK(row.front() > last);
    CHECK(std::is_sorted(row.begin(), row.end()));
    last = row.front();
  }
}

TEST_CASE("an epoch that draws samples has each as often as it is drawn, packed like others") {
  const Lengths lengths = {5, 7, 3};
  CHECK(plan_of(plan_epoch(lengths, true, 10, false, 0, 0, Lengths{2, 2, 0, 1, 2})) == Plan{{2, 1}, {2, 0}, {2}});
  CHECK(plan_of(plan_epoch(lengths, false, 10, false, 0, 0, Lengths{1, 1, 2})) == Plan{{1}, {1}, {2}});
  const auto all = Lengths{0, 1, 2};
  CHECK(plan_of(plan_epoch(lengths, true, 10, true, 3, 1, all)) == plan_of(plan_epoch(lengths, true, 10, true, 3, 1)));
}

TEST_CASE("a sample longer than a row is refused") {
  CHECK_THROWS_AS(plan_epoch(Lengths{3, 11}, true, 10, false, 0, 0), DataError);
  CHECK_THROWS_AS(rows_per_epoch(Lengths{11}, false, 10), DataError);
}

TEST_CASE("a batch lays samples end to end, each target the next token of its own sample") {
  Dataset dataset;
  dataset.add(Sample{{1, 10, 11, 2}, {0, 0, 1, 1}});
  dataset.add(Sample{{1, 20}, {0, 1}});
  dataset.add(Sample{{1, 30, 31}, {0, 1, 0}});
  const auto batch = make_batch(dataset, Lengths{0, 2, 1});
  CHECK(batch.tokens.lengths == std::vector<int64_t>{4, 3, 2});
  CHECK(tensor_values(batch.tokens.input_ids) == std::vector<int64_t>{1, 10, 11, 2, 1, 30, 31, 1, 20});
  constexpr int64_t none = kIgnoredTarget;
  CHECK(tensor_values(batch.targets) == std::vector<int64_t>{none, 11, 2, none, 30, none, none, 20, none});
  CHECK(batch.supervised == 4);
}

TEST_CASE("a batch without rows is empty") {
  const auto batch = make_batch({}, {});
  CHECK(batch.tokens.input_ids.numel() == 0);
  CHECK(batch.supervised == 0);
}

}  // namespace
}  // namespace lora::test
