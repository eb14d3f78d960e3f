// Shares of sources, epoch by epoch.

#include "lora/data/mixing.h"

#include <map>
#include <set>

#include "lora/data/shuffle.h"
#include "models/base/error.h"
#include "tests/catch.h"

namespace lora::test {
namespace {

// Sources of these sizes, end to end.
std::vector<MixedSource> sources(const std::vector<int64_t>& sizes, const std::vector<double>& weights = {}) {
  std::vector<MixedSource> made;
  int64_t begin = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    made.push_back({"s" + std::to_string(i), begin, begin + sizes[i], weights.empty() ? 1.0 : weights[i], 1.0});
    begin += sizes[i];
  }
  return made;
}

std::vector<int64_t> ones(int64_t n) { return std::vector<int64_t>(static_cast<size_t>(n), 1); }

std::vector<int64_t> uneven(int64_t n) {
  SplitMix64 random(12);
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < n; ++i) lengths.push_back(5 + static_cast<int64_t>(random.below(i < 100 ? 200 : 20)));
  return lengths;
}

std::vector<int64_t> per_source(const Mixture& mixture, int64_t epochs, const std::vector<int64_t>& sizes) {
  std::vector<int64_t> counts(sizes.size());
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    for (int64_t sample : mixture.draw(epoch)) {
      size_t source = 0;
      while (sample >= sizes[source]) sample -= sizes[source++];
      ++counts[source];
    }
  }
  return counts;
}

TEST_CASE("sources that are only put together have every sample once") {
  const Mixture plain({}, sources({3, 4}), ones(7), true, 42);
  CHECK(plain.plain());
  CHECK(plain.draw(0).empty());
  CHECK(plain.shares(0)[0].samples == 3);
  CHECK(Mixture().plain());
}

TEST_CASE("epochs of a source say how often it is passed over") {
  auto parts = sources({3, 2});
  parts[0].epochs = 2;
  parts[1].epochs = 0.5;
  const Mixture mixture({}, parts, ones(5), false, 42);
  CHECK_FALSE(mixture.plain());
  CHECK(mixture.draw(0) == std::vector<int64_t>{0, 1, 2, 0, 1, 2, 3});
  CHECK(mixture.draw(1) == std::vector<int64_t>{0, 1, 2, 0, 1, 2, 4});
  CHECK(mixture.draw(2) == mixture.draw(0));
}

TEST_CASE("weights by sample, by hand") {
  const Mixture mixture({.strategy = MixingStrategy::kWeights}, sources({6, 2}, {1.0, 3.0}), ones(8), false, 42);
  CHECK(mixture.draw(0) == std::vector<int64_t>{6, 0, 7, 6, 7, 1, 6, 7});
  CHECK(mixture.draw(1) == std::vector<int64_t>{6, 2, 7, 6, 7, 3, 6, 7});
  const auto shares = mixture.shares(0);
  CHECK(shares[0].target == 0.25);
  CHECK(shares[0].realised == 0.25);
  CHECK(shares[1].samples == 6);
  CHECK(shares[1].passes == 3.0);
}

TEST_CASE("a mixture drawn today is the mixture of every platform") {
  const Mixture mixture({.strategy = MixingStrategy::kWeights}, sources({6, 2}, {1.0, 1.0}), ones(8), true, 42);
  CHECK(mixture.draw(0) == std::vector<int64_t>{1, 7, 0, 6, 5, 6, 4, 7});
  CHECK(mixture.draw(5).size() == 8);
}

TEST_CASE("shares are met to a sample over any number of epochs") {
  const std::vector<int64_t> sizes = {1000, 37, 5};
  const Mixture mixture({.strategy = MixingStrategy::kWeights}, sources(sizes, {0.7, 0.2, 0.1}), ones(1042), true, 1);
  for (const int64_t epochs : {1, 2, 7}) {
    const auto counts = per_source(mixture, epochs, sizes);
    const std::vector<double> wanted = {0.7, 0.2, 0.1};
    for (size_t i = 0; i < counts.size(); ++i) {
      CHECK(std::abs(static_cast<double>(counts[i]) - wanted[i] * 1042.0 * static_cast<double>(epochs)) <= 1.0);
    }
  }
}

TEST_CASE("no sample comes again before all of its source have come") {
  const Mixture mixture({.strategy = MixingStrategy::kWeights}, sources({10, 90}, {0.5, 0.5}), ones(100), true, 3);
  std::map<int64_t, int64_t> seen;
  for (int64_t epoch = 0; epoch < 9; ++epoch) {
    for (const int64_t sample : mixture.draw(epoch)) ++seen[sample];
    for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{{0, 10}, {10, 100}}) {
      int64_t least = INT64_MAX, most = 0;
      for (int64_t sample = begin; sample < end; ++sample) {
        least = std::min(least, seen[sample]);
        most = std::max(most, seen[sample]);
      }
      CHECK(most - least <= 1);
    }
  }
  CHECK(seen[0] == 45);
  CHECK(seen[99] == 5);
}

TEST_CASE("shares of tokens are met to a sample's length") {
  const auto lengths = uneven(1100);
  const Mixture mixture({.strategy = MixingStrategy::kWeights, .by = MixingUnit::kTokens},
                        sources({100, 1000}, {2.0, 1.0}), lengths, true, 4);
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    const auto shares = mixture.shares(epoch);
    CHECK(std::abs(shares[0].realised - 2.0 / 3.0) < 0.02);
    CHECK(shares[0].target == shares[1].target * 2);
  }
}

TEST_CASE("temperature goes from the sources' sizes to equal shares") {
  const auto wanted = [&](double temperature) {
    const Mixture mixture(
        {.strategy = MixingStrategy::kTemperature, .by = MixingUnit::kSamples, .temperature = temperature},
        sources({900, 100}), ones(1000), true, 1);
    return mixture.shares(0)[1].target;
  };
  CHECK(std::abs(wanted(1) - 0.1) < 1e-12);
  CHECK(std::abs(wanted(2) - 0.25) < 1e-12);  // 10 of 30 + 10
  CHECK(std::abs(wanted(1e6) - 0.5) < 1e-5);
}

TEST_CASE("a mixture follows seed and epoch") {
  const auto drawn = [](uint64_t seed, int64_t epoch) {
    return Mixture({.strategy = MixingStrategy::kWeights}, sources({50, 50}, {0.4, 0.6}), ones(100), true, seed)
        .draw(epoch);
  };
  CHECK(drawn(1, 3) == drawn(1, 3));
  CHECK(drawn(1, 3) != drawn(2, 3));
  CHECK(drawn(1, 3) != drawn(1, 4));
}

TEST_CASE("a source without samples cannot be mixed") {
  CHECK_THROWS_AS(Mixture({.strategy = MixingStrategy::kWeights}, sources({3, 0}), ones(3), true, 1), DataError);
}

}  // namespace
}  // namespace lora::test
