#include "lora/data/cleaning/lsh.h"

#include <cmath>
#include <string_view>

#include "lora/data/cleaning/minhash.h"
#include "lora/data/cleaning/shingles.h"
#include "lora/data/shuffle.h"

namespace lora {

double Banding::caught(double similarity) const {
  return 1 - std::pow(1 - std::pow(similarity, static_cast<double>(rows)), static_cast<double>(bands));
}

Banding choose_banding(double threshold, int64_t num_perm) {
  constexpr double kLeastCaught = 0.99;
  for (int64_t rows = num_perm; rows > 1; --rows) {
    const Banding banding{num_perm / rows, rows};
    if (banding.caught(threshold) >= kLeastCaught) return banding;
  }
  return {num_perm, 1};
}

BandHasher::BandHasher(const Banding& banding, uint64_t seed) : banding_(banding) {
  SplitMix64 random(seed);
  for (int64_t i = 0; i < banding.bands * banding.rows; ++i) {
    multipliers_.push_back(static_cast<uint32_t>(random.next() >> 32) | 1);
    offsets_.push_back(static_cast<uint32_t>(random.next() >> 32));
  }
}

void BandHasher::operator()(const std::vector<uint32_t>& hashes, uint32_t* bands) const {
  std::vector<uint32_t> signature(multipliers_.size());
  min_hash(hashes.data(), hashes.size(), multipliers_.data(), offsets_.data(), signature.size(), signature.data());
  const auto rows = static_cast<size_t>(banding_.rows);
  for (size_t band = 0; band < static_cast<size_t>(banding_.bands); ++band) {
    uint64_t hash = band + 1;
    for (size_t row = 0; row < rows; ++row) hash = SplitMix64(hash ^ signature[band * rows + row]).next();
    bands[band] = static_cast<uint32_t>(hash >> 32);
  }
}

}  // namespace lora
