#pragma once
// Finds candidate pairs of similar sets without comparing all pairs: MinHash signatures in bands (Leskovec, Rajaraman
// and Ullman: Mining of Massive Datasets, ch. 3.4).

#include <cstdint>
#include <vector>

namespace lora {

// Two sets of Jaccard similarity s share a band with probability 1 - (1 - s^rows)^bands.
struct Banding {
  int64_t bands, rows;
  double caught(double similarity) const;
};

// Chooses as many rows per band as possible, so that few sets are compared in vain. Sets exactly at the threshold are
// still found with probability 0.99. If `num_perm` permutations are too few for that, bands have one row. Uses at most
// `num_perm` permutations.
Banding choose_banding(double threshold, int64_t num_perm);

// Hash functions of the permutations and bands. They depend only on the arguments.
class BandHasher {
 public:
  BandHasher(const Banding& banding, uint64_t seed = 0);
  const Banding& banding() const { return banding_; }
  // Writes banding().bands hashes. Sets that agree in a band have the same hash there. Thread-safe.
  void operator()(const std::vector<uint32_t>& hashes, uint32_t* bands) const;

 private:
  Banding banding_;
  std::vector<uint32_t> multipliers_, offsets_;
};

}  // namespace lora
