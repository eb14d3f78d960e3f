#pragma once
// Selects the samples of an epoch when sources are mixed.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lora/data/mixing_config.h"

namespace lora {

// A source. Its samples are [begin, end) of the dataset.
struct MixedSource {
  std::string name;
  int64_t begin, end;
  double weight = 1.0, epochs = 1.0;  // as in the recipe
};

// A source passes through all its samples, in its own order, before any of them repeats, across epochs. Epoch e takes
// the samples between e and e + 1 times the source's quota, so every epoch meets the shares to within one sample.
// draw() depends only on its arguments: a resumed run needs only the epoch's number, and threads, processes and
// restarts do not matter.
class Mixture {
 public:
  // Every sample of the dataset once per epoch.
  Mixture() = default;
  // `lengths`: tokens of each sample of the dataset; copied. Throws DataError for a source without samples.
  Mixture(const MixingConfig& config, std::vector<MixedSource> sources, std::span<const int64_t> lengths, bool shuffled,
          uint64_t seed);

  // True if each epoch has every sample once, so that draw() is not needed.
  bool plain() const { return plain_; }

  // The samples of an epoch. With `concatenate` the sources follow each other; otherwise they are evenly interleaved.
  // The samples of a source are in file order unless shuffled. Empty if plain().
  std::vector<int64_t> draw(int64_t epoch) const;

  struct Share {
    std::string name;
    double target = 0;                // fraction of 1, in the unit of the config
    double realised = 0;              // the actual fraction in the epoch
    int64_t samples = 0, tokens = 0;  // in the epoch
    double passes = 0;                // over the source's samples, per epoch
  };
  // The shares of an epoch, one per source.
  std::vector<Share> shares(int64_t epoch) const;

 private:
  struct Source {
    MixedSource of;
    int64_t total;  // size of all its samples, in the unit of the config
    double quota;   // the part of it per epoch
    double target;
  };
  std::vector<int64_t> drawn_from(size_t source, int64_t epoch) const;
  int64_t counts(int64_t sample) const { return by_tokens_ ? lengths_[static_cast<size_t>(sample)] : 1; }

  bool plain_ = true, by_tokens_ = false, interleaved_ = false, shuffled_ = false;
  uint64_t seed_ = 0;
  std::vector<int64_t> lengths_;
  std::vector<Source> sources_;
};

}  // namespace lora
