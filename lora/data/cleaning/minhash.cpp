#include "lora/data/cleaning/minhash.h"

#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lora/data/cleaning/minhash.cpp"
#include <hwy/foreach_target.h>
// What follows is compiled once an instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lora::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// NOLINTBEGIN(readability-identifier-naming): functions of an instruction set are named as the library names its own
// `kVectors` vectors of permutations stay in registers while all hashes pass by.
template <size_t kVectors, class D>
HWY_INLINE void SomePermutations(D d, const uint32_t* hashes, size_t n, const uint32_t* multipliers,
                                 const uint32_t* offsets, uint32_t* signature) {
  const size_t lanes = hn::Lanes(d);
  hn::Vec<D> multiplier[kVectors], offset[kVectors], least[kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    multiplier[v] = hn::LoadU(d, multipliers + v * lanes);
    offset[v] = hn::LoadU(d, offsets + v * lanes);
    least[v] = hn::Set(d, ~uint32_t{0});
  }
  for (size_t i = 0; i < n; ++i) {
    const auto hash = hn::Set(d, hashes[i]);
    for (size_t v = 0; v < kVectors; ++v) {
      least[v] = hn::Min(least[v], hn::Add(hn::Mul(hash, multiplier[v]), offset[v]));
    }
  }
  for (size_t v = 0; v < kVectors; ++v) hn::StoreU(least[v], d, signature + v * lanes);
}

void MinHash(const uint32_t* hashes, size_t n, const uint32_t* multipliers, const uint32_t* offsets,
             size_t permutations, uint32_t* signature) {
  const hn::ScalableTag<uint32_t> d;
  const hn::CappedTag<uint32_t, 1> one;
  constexpr size_t kVectors = 4;
  const size_t lanes = hn::Lanes(d);
  size_t p = 0;
  for (; p + kVectors * lanes <= permutations; p += kVectors * lanes) {
    SomePermutations<kVectors>(d, hashes, n, multipliers + p, offsets + p, signature + p);
  }
  for (; p + lanes <= permutations; p += lanes) {
    SomePermutations<1>(d, hashes, n, multipliers + p, offsets + p, signature + p);
  }
  for (; p < permutations; ++p) {
    SomePermutations<1>(one, hashes, n, multipliers + p, offsets + p, signature + p);
  }
}

// NOLINTEND(readability-identifier-naming)
}  // namespace lora::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora {

HWY_EXPORT(MinHash);

void min_hash(const uint32_t* hashes, size_t n, const uint32_t* multipliers, const uint32_t* offsets,
              size_t permutations, uint32_t* signature) {
  HWY_DYNAMIC_DISPATCH(MinHash)(hashes, n, multipliers, offsets, permutations, signature);
}

}  // namespace lora
#endif
