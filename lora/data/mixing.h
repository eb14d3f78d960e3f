#pragma once
// Which samples an epoch has where sources are mixed.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lora/data/mixing_config.h"

namespace lora {

// A source's samples are [begin, end) of the dataset.
struct MixedSource {
  std::string name;
  int64_t begin, end;
  double weight = 1.0, epochs = 1.0;  // as the recipe has them
};

// A source goes through all of its samples, in an order of its own, before any of them comes again, from epoch to
// epoch: epoch e has what lies between e and e + 1 times the source's share. So shares are met in every epoch to within
// a sample, and draw() is a function of its arguments alone: a run finds its place again from the epoch's number, and
// threads, processes and restarts change nothing.
class Mixture {
 public:
  // Every sample of the dataset once an epoch.
  Mixture() = default;
  // lengths: tokens of each sample of the dataset, copied. Throws DataError for a source without samples.
  Mixture(const MixingConfig& config, std::vector<MixedSource> sources, std::span<const int64_t> lengths, bool shuffled,
          uint64_t seed);

  // Whether draw() is not needed, as each epoch has every sample once.
  bool plain() const { return plain_; }

  // The samples of an epoch: the sources' in turn with concatenate, evenly among one another otherwise; of each source
  // in file order unless shuffled. Empty where plain.
  std::vector<int64_t> draw(int64_t epoch) const;

  struct Share {
    std::string name;
    double wanted = 0;                // of 1, counted as the config says
    double realised = 0;              // in the epoch
    int64_t samples = 0, tokens = 0;  // in the epoch
    double passes = 0;                // over the source's samples, an epoch
  };
  // Of an epoch, source by source.
  std::vector<Share> shares(int64_t epoch) const;

 private:
  struct Source {
    MixedSource of;
    int64_t total;  // what its samples count
    double quota;   // of that, an epoch
    double wanted;
  };
  std::vector<int64_t> drawn_from(size_t source, int64_t epoch) const;
  int64_t counts(int64_t sample) const { return by_tokens_ ? lengths_[static_cast<size_t>(sample)] : 1; }

  bool plain_ = true, by_tokens_ = false, interleaved_ = false, shuffled_ = false;
  uint64_t seed_ = 0;
  std::vector<int64_t> lengths_;
  std::vector<Source> sources_;
};

}  // namespace lora
