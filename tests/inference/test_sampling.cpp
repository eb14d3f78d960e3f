#include "lora/inference/sampling.h"

#include <array>
#include <cmath>

#include "tests/catch.h"

using namespace lora;

namespace {

// The logarithms of probabilities 0.5, 0.25, 0.15, 0.1, moved: a softmax takes that back.
std::vector<float> four() {
  std::vector<float> logits;
  for (const double p : {0.1, 0.5, 0.15, 0.25}) logits.push_back(static_cast<float>(std::log(p) + 3));
  return logits;
}

// How often each of four tokens is the first of an answer, over many seeds.
std::array<double, 4> shares(SamplingConfig config, const std::vector<float>& logits = four(),
                             const std::vector<int64_t>& prompt = {}) {
  constexpr int kDraws = 20'000;
  std::array<double, 4> found{};
  for (int i = 0; i < kDraws; ++i) {
    config.seed = static_cast<uint64_t>(i);
    ++found[static_cast<size_t>(Sampler(config, prompt).next(logits))];
  }
  for (double& one : found) one /= kDraws;
  return found;
}

void check_near(const std::array<double, 4>& found, const std::array<double, 4>& expected) {
  for (size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    if (expected[i] == 0) {
      CHECK(found[i] == 0);
    } else {
      CHECK(found[i] == Approx(expected[i]).margin(0.015));  // over four deviations of 20,000 draws
    }
  }
}

}  // namespace

TEST_CASE("temperature 0 takes the likeliest token, the first of equal ones") {
  CHECK(Sampler({}, {}).next(four()) == 1);
  CHECK(Sampler({}, {}).next(std::vector<float>{1, 2, 2, 0}) == 1);
  // At each place of vocabularies that are whole blocks of the search, or not.
  for (const size_t size : {1, 15, 16, 17, 32, 50}) {
    for (size_t place = 0; place < size; ++place) {
      std::vector<float> logits(size, -3);
      logits[place] = logits.back() = -1;
      CHECK(Sampler({}, {}).next(logits) == static_cast<int64_t>(place));
    }
  }
}

TEST_CASE("temperature divides the logits") {
  check_near(shares({.temperature = 1}), {0.1, 0.5, 0.15, 0.25});
  // The squares of the probabilities.
  const double sum = 0.01 + 0.25 + 0.0225 + 0.0625;
  check_near(shares({.temperature = 0.5}), {0.01 / sum, 0.25 / sum, 0.0225 / sum, 0.0625 / sum});
}

TEST_CASE("top_k, top_p and min_p cut the unlikely off and leave the shares of the rest") {
  check_near(shares({.temperature = 1, .top_k = 2}), {0, 2 / 3.0, 0, 1 / 3.0});
  check_near(shares({.temperature = 1, .top_k = 1}), {0, 1, 0, 0});
  check_near(shares({.temperature = 1, .top_p = 0.8}), {0, 5 / 9.0, 1.5 / 9, 2.5 / 9});
  check_near(shares({.temperature = 1, .top_p = 0.0}), {0, 1, 0, 0});
  check_near(shares({.temperature = 1, .min_p = 0.4}), {0, 2 / 3.0, 0, 1 / 3.0});
  check_near(shares({.temperature = 1, .min_p = 1}), {0, 1, 0, 0});
  // Of the three that top_k leaves, 0.5 of 0.9 are 0.56, so top_p 0.6 takes two.
  check_near(shares({.temperature = 1, .top_k = 3, .top_p = 0.6}), {0, 2 / 3.0, 0, 1 / 3.0});
}

TEST_CASE("the repetition penalty sees prompt and answer, and both signs") {
  // Token 1 is of the prompt: 2 / 4 is less than 1; token 0: -1 times 4 is less than -2.
  const std::vector<float> logits = {-1, 2, -2, 1};
  CHECK(Sampler({.repetition_penalty = 4}, std::vector<int64_t>{1, 0}).next(logits) == 3);
  const std::vector<float> negative = {-1, -5, -2, -5};
  CHECK(Sampler({.repetition_penalty = 4}, std::vector<int64_t>{0}).next(negative) == 2);
  Sampler sampler({.repetition_penalty = 4}, {});
  CHECK(sampler.next(logits) == 1);
  CHECK(sampler.next(logits) == 3);
}

TEST_CASE("frequency and presence penalties count the answer alone") {
  const std::vector<float> logits = {0, 1, 0.4F, 0};
  Sampler frequency({.frequency_penalty = 0.35}, std::vector<int64_t>{1, 1, 1});
  CHECK(frequency.next(logits) == 1);  // then 0.65
  CHECK(frequency.next(logits) == 1);  // then 0.3
  CHECK(frequency.next(logits) == 2);
  Sampler presence({.presence_penalty = 0.55}, {});
  CHECK(presence.next(logits) == 1);  // then 0.45, and no less
  CHECK(presence.next(logits) == 1);
  CHECK(presence.next(logits) == 1);
}

TEST_CASE("a logit's bias is added, and one of no token means nothing") {
  CHECK(Sampler({.logit_bias = {{0, 100}}}, {}).next(four()) == 0);
  CHECK(Sampler({.logit_bias = {{1, -100}, {9, 100}}}, {}).next(four()) == 3);
}

TEST_CASE("the same seed draws the same tokens, another seed others") {
  const auto drawn = [](uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed}, {});
    std::vector<int64_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.next(four()));
    return ids;
  };
  CHECK(drawn(1) == drawn(1));
  CHECK(drawn(1) != drawn(2));
}

TEST_CASE("log-probabilities are those of the softmax, likeliest first") {
  CHECK(log_probability(four(), 2) == Approx(std::log(0.15)));
  const auto best = likeliest(four(), 3);
  REQUIRE(best.size() == 3);
  CHECK(best[0].first == 1);
  CHECK(best[1].first == 3);
  CHECK(best[2].first == 2);
  CHECK(best[1].second == Approx(std::log(0.25)));
  CHECK(likeliest(four(), 9).size() == 4);
}
