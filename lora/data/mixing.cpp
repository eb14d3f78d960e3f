#include "lora/data/mixing.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "lora/data/shuffle.h"
#include "models/base/error.h"

namespace lora {
namespace {

// An epoch's samples are held in memory, 8 bytes each and as much again while they are drawn.
constexpr double kMostDrawn = 1e8;

// Each argument passes through the generator, so that neighbouring values are independent.
SplitMix64 pass_random(uint64_t seed, size_t source, int64_t pass) {
  const uint64_t of_source = SplitMix64(SplitMix64(seed).next() ^ static_cast<uint64_t>(source)).next();
  return SplitMix64(SplitMix64(of_source ^ static_cast<uint64_t>(pass)).next());
}

}  // namespace

Mixture::Mixture(const MixingConfig& config, std::vector<MixedSource> sources, std::span<const int64_t> lengths,
                 bool shuffled, uint64_t seed)
    : by_tokens_(config.by == MixingUnit::kTokens),
      interleaved_(config.strategy != MixingStrategy::kConcatenate),
      shuffled_(shuffled),
      seed_(seed),
      lengths_(lengths.begin(), lengths.end()) {
  double all = 0, target = 0;
  for (MixedSource& source : sources) {
    int64_t total = 0;
    for (int64_t sample = source.begin; sample < source.end; ++sample) total += counts(sample);
    if (total == 0) throw DataError(source.name + ": has no sample left to mix");
    all += static_cast<double>(total);
    const double sized = source.weight * static_cast<double>(total);
    const double share = !interleaved_                                     ? source.epochs * static_cast<double>(total)
                         : config.strategy == MixingStrategy::kTemperature ? std::pow(sized, 1 / config.temperature)
                                                                           : source.weight;
    target += share;
    plain_ = plain_ && !interleaved_ && source.epochs == 1.0;
    sources_.push_back({std::move(source), total, share, share});
  }
  for (Source& source : sources_) {
    source.target /= target;
    if (interleaved_) source.quota = source.target * all;
    const double samples = static_cast<double>(source.of.end - source.of.begin);
    if (source.quota / static_cast<double>(source.total) * samples > kMostDrawn) {
      throw DataError(source.of.name + ": its weight or epochs draw more than " +
                      std::to_string(static_cast<int64_t>(kMostDrawn)) +
                      " samples in each epoch; expected less, and more of training.epochs or max_steps");
    }
  }
}

std::vector<int64_t> Mixture::drawn_from(size_t source_index, int64_t epoch) const {
  const Source& source = sources_[source_index];
  const auto from = static_cast<int64_t>(std::floor(static_cast<double>(epoch) * source.quota));
  const auto to = static_cast<int64_t>(std::floor(static_cast<double>(epoch + 1) * source.quota));
  std::vector<int64_t> drawn, order(static_cast<size_t>(source.of.end - source.of.begin));
  for (int64_t pass = from / source.total; pass * source.total < to; ++pass) {
    std::iota(order.begin(), order.end(), source.of.begin);
    if (shuffled_) {
      SplitMix64 random = pass_random(seed_, source_index, pass);
      shuffle(order, random);
    }
    int64_t at = pass * source.total;
    for (const int64_t sample : order) {
      if (at >= from && at < to) drawn.push_back(sample);
      at += counts(sample);
    }
  }
  return drawn;
}

std::vector<int64_t> Mixture::draw(int64_t epoch) const {
  std::vector<int64_t> all;
  if (plain_) return all;
  std::vector<std::pair<double, int64_t>> placed;  // position in the epoch, in [0, 1)
  for (size_t i = 0; i < sources_.size(); ++i) {
    const std::vector<int64_t> drawn = drawn_from(i, epoch);
    for (size_t k = 0; k < drawn.size(); ++k) {
      const double place = (static_cast<double>(k) + 0.5) / static_cast<double>(drawn.size());
      placed.emplace_back(interleaved_ ? place : 0.0, drawn[k]);
    }
  }
  std::stable_sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  all.reserve(placed.size());
  for (const auto& [place, sample] : placed) all.push_back(sample);
  return all;
}

std::vector<Mixture::Share> Mixture::shares(int64_t epoch) const {
  std::vector<Share> shares;
  double all = 0;
  for (size_t i = 0; i < sources_.size(); ++i) {
    const Source& source = sources_[i];
    Share share{.name = source.of.name, .target = source.target};
    share.passes = source.quota / static_cast<double>(source.total);
    for (const int64_t sample : drawn_from(i, epoch)) {
      ++share.samples;
      share.tokens += lengths_[static_cast<size_t>(sample)];
    }
    share.realised = static_cast<double>(by_tokens_ ? share.tokens : share.samples);
    all += share.realised;
    shares.push_back(std::move(share));
  }
  for (Share& share : shares) share.realised /= std::max(all, 1.0);
  return shares;
}

}  // namespace lora
