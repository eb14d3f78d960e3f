#pragma once
// Which sets may be alike, without comparing each with each: MinHash signatures in bands (Leskovec, Rajaraman and
// Ullman: Mining of Massive Datasets, ch. 3.4).

#include <cstdint>
#include <vector>

namespace lora {

// Two sets of Jaccard similarity s share a band with probability 1 - (1 - s^rows)^bands.
struct Banding {
  int64_t bands, rows;
  double caught(double similarity) const;
};

// The most rows a band, so the fewest sets compared in vain, with which sets just at the threshold are still caught
// with probability 0.99; where `num_perm` permutations are too few for that, bands of one row. Uses at most `num_perm`.
Banding choose_banding(double threshold, int64_t num_perm);

// Permutations and bands of every set: the same for the same arguments.
class BandHasher {
 public:
  BandHasher(const Banding& banding, uint64_t seed = 0);
  const Banding& banding() const { return banding_; }
  // Writes banding().bands hashes; sets that agree in a band have the same there. May be called from several threads.
  void operator()(const std::vector<uint32_t>& hashes, uint32_t* bands) const;

 private:
  Banding banding_;
  std::vector<uint32_t> multipliers_, offsets_;
};

}  // namespace lora
