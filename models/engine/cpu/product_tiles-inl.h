// The product on AMX. A unit's sums stay in four tiles. The float32 numbers of the folded term are the sums of two
// bfloat16 each, high and low (SplitFloats).

#if defined(LORA_PRODUCT_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_PRODUCT_TILES_INL_H_
#undef LORA_PRODUCT_TILES_INL_H_
#else
#define LORA_PRODUCT_TILES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "models/base/numbers.h"
#include "models/engine/cpu/matrix.h"
#include "models/engine/cpu/product_units-inl.h"
#include "models/engine/cpu/simd-inl.h"
#include "models/engine/cpu/tiles-inl.h"
#include "models/engine/cpu/weight_product.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::on_tiles {

using namespace tiles;

// What vectors do while tiles multiply, a little at each step: they round the sums of the unit before into C, and
// prefetch this unit's part of C and the next rows of A.
struct Meanwhile {
  Bf16* c;
  const Bf16* added;  // D, or null; of c's stride
  size_t c_stride;
  size_t rows_each = 1;
  const float* sums = nullptr;  // of the unit before, as StoreSums writes them
  size_t before = 0, rounded = kUnit;
  size_t here = 0, prefetched = kUnit;
  Prefetcher a = {};

  HWY_INLINE void RoundRow() {
    const D d;
    const size_t place = before + rounded * c_stride;
    const float* const from = sums + rounded / kRows * 2 * kFloats + rounded % kRows * 16;
    auto low = hn::LoadU(d, from), high = hn::LoadU(d, from + kFloats);
    if (added) {
      low = hn::Add(low, LoadFloats(d, added + place));
      high = hn::Add(high, LoadFloats(d, added + place + 16));
    }
    StorePair(low, high, c + place);
    ++rounded;
  }
  HWY_INLINE void PrefetchRow() {
    const size_t place = here + prefetched * c_stride;
    asm volatile("prefetchw (%0)" ::"r"(c + place));
    if (added) __builtin_prefetch(added + place);
    ++prefetched;
  }
  HWY_INLINE void Step() {
    for (size_t i = 0; i < rows_each; ++i) {
      if (rounded < kUnit) RoundRow();
      if (prefetched < kUnit) PrefetchRow();
    }
    a.Step();
  }
  HWY_INLINE void RoundAll() {
    while (rounded < kUnit) RoundRow();
  }
};

// The unit's tiles += 32 rows of A times 32 columns. Returns the end of the tiles read from b.
HWY_INLINE const float* Accumulate(Matrix<const Bf16> a, size_t steps, const float* b, Meanwhile& meanwhile) {
  const size_t bytes = a.stride * sizeof(Bf16);
  const Bf16* const below = a.row(kRows);
  for (size_t s = 0; s < steps; ++s, b += 2 * kFloats) {
    Load<6>(b, 64);
    Load<4>(a.data + s * kDepth, bytes);
    Dot<0, 4, 6>();
    Load<7>(b + kFloats, 64);
    Dot<1, 4, 7>();
    Load<5>(below + s * kDepth, bytes);
    Dot<2, 5, 6>();
    Dot<3, 5, 7>();
    meanwhile.Step();
  }
  return b;
}

HWY_INLINE void StoreSums(float* tiles) {
  Store<0>(tiles, 64);
  Store<1>(tiles + kFloats, 64);
  Store<2>(tiles + 2 * kFloats, 64);
  Store<3>(tiles + 3 * kFloats, 64);
}

HWY_INLINE void StartSums(const float* tiles) {
  if (!tiles) {
    Zero<0>();
    Zero<1>();
    Zero<2>();
    Zero<3>();
  } else {
    Load<0>(tiles, 64);
    Load<1>(tiles + kFloats, 64);
    Load<2>(tiles + 2 * kFloats, 64);
    Load<3>(tiles + 3 * kFloats, 64);
  }
}

class Units {
 public:
  Units(const FoldedProduct<Bf16>& product, Bf16* c, const Bf16* added, float* scratch)
      : sums_{scratch, scratch + kSums}, meanwhile_{c, added, product.c.stride} {
    auto* const low = reinterpret_cast<Bf16*>(scratch + 2 * kSums);
    const size_t width = 2 * product.folded.ranks();
    low_ = {low, product.c.rows, width, width};
    LayLow(product.folded, product.c.rows, low);
  }

  static size_t ScratchFloats(size_t rows, size_t ranks) { return 2 * kSums + rows * ranks; }
  static size_t FoldedFloats(size_t ranks) { return ranks / 16 * 4 * kFloats; }

  // Columns [first, first + 32) of P: [high, low][block of 16 ranks][16 columns].
  static void PackFolded(const FoldedTerm& folded, size_t first, float* to) {
    float* const low_parts = to + FoldedFloats(folded.ranks()) / 2;
    for (size_t at = 0; const LowRankMatrix& m : folded.matrices) {
      for (size_t k = 0; k < m.depth; k += 16) {
        for (size_t c = first; c < first + kUnit; c += 16, at += kFloats) SplitBlock(m, k, c, to + at, low_parts + at);
      }
    }
  }

  // Prefetches the next rows of A during so many steps.
  HWY_INLINE void Ahead(Matrix<const Bf16> a, size_t steps) {
    meanwhile_.a = Prefetcher(a);
    meanwhile_.a.Share(steps);
  }

  HWY_INLINE void Multiply(const UnitWork<Bf16>& work) {
    StartSums(work.first ? nullptr : work.kept);
    if (work.last) {
      meanwhile_.here = work.offset;
      meanwhile_.prefetched = 0;
    }
    const size_t blocks = work.last ? low_.columns / 32 : 0;
    meanwhile_.rows_each = ceil_div(kUnit, work.steps + 2 * blocks);
    const float* b = Accumulate(work.a, work.steps, work.b, meanwhile_);
    if (!work.last) return StoreSums(work.kept);
    if (blocks > 0) {
      const Matrix<const Bf16> low = low_.row_range(work.row, kUnit);
      b = Accumulate(low, blocks, b, meanwhile_);
      Accumulate(low, blocks, b, meanwhile_);
    }
    meanwhile_.RoundAll();
    float* const to = sums_[turn_++ % 2];
    StoreSums(to);
    meanwhile_.sums = to;
    meanwhile_.before = work.offset;
    meanwhile_.rounded = 0;
  }

  HWY_INLINE void End() { meanwhile_.RoundAll(); }

 private:
  // `low` as A tiles: the high parts of a block of 16, then the low ones.
  static void LayLow(const FoldedTerm& folded, size_t rows, Bf16* laid) {
    auto* to = reinterpret_cast<uint16_t*>(laid);
    const D d;
    const hn::Rebind<uint16_t, W> half;
    const size_t ranks = folded.ranks();
    for (size_t r = 0; r < rows; ++r) {
      for (size_t k = 0; k < ranks; k += 16, to += 32) {
        const Split s = SplitFloats(hn::LoadU(d, folded.low.row(r) + k));
        hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.high)), half, to);
        hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.low)), half, to + 16);
      }
    }
  }

  const Scope scope_;
  float* const sums_[2];    // of a unit, and of the one before
  Matrix<const Bf16> low_;  // as LayLow lays it
  Meanwhile meanwhile_;
  size_t turn_ = 0;
};

}  // namespace lora::kernels::HWY_NAMESPACE::on_tiles
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_PRODUCT_TILES_INL_H_
