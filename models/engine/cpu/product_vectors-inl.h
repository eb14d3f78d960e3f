// The product in registers, of float32 on AVX-512 and of bfloat16 on AVX512-BF16, which multiplies pairs of them in all
// lanes. 8 rows of a unit at a time are in 16 registers. The folded term is float32 throughout.

#if defined(LORA_PRODUCT_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_PRODUCT_VECTORS_INL_H_
#undef LORA_PRODUCT_VECTORS_INL_H_
#else
#define LORA_PRODUCT_VECTORS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "models/engine/cpu/blocks-inl.h"
#include "models/engine/cpu/matrix.h"
#include "models/engine/cpu/product_units-inl.h"
#include "models/engine/cpu/simd-inl.h"
#include "models/engine/cpu/weight_product.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::on_vectors {

constexpr size_t kRows = 8;
constexpr size_t kSteps = 16;  // that are summed on their own, so that a long sum has the error of a short one

using Floats16 = hn::Vec<D>;

// Between the functions below 8 rows of sums are in memory, row by row; in each function they are in registers.
// (Neither is inlined, so that the compiler keeps them there.)
#define LORA_EACH_ROW _Pragma("GCC unroll 8") for (size_t r = 0; r < kRows; ++r)

// sum += a · b in each word.
HWY_INLINE void Dot(Floats16& sum, Word a, Word b, Bf16) { blocks::DotPairs(sum, a, b); }
HWY_INLINE void Dot(Floats16& sum, Word a, Word b, float) {
  const D d;
  sum = hn::MulAdd(hn::BitCast(d, a), hn::BitCast(d, b), sum);
}

// sums = from + 8 rows of A times the 32 columns of `steps` steps of B. `from` may be null, for zeros.
template <class T>
HWY_NOINLINE void Multiply(const T* a, size_t a_stride, size_t steps, const float* b, const float* from, float* sums) {
  const D d;
  const W w;
  Floats16 left[kRows], right[kRows];
  LORA_EACH_ROW left[r] = right[r] = hn::Zero(d);
  for (size_t s = 0; s < steps; ++s, b += kFloats) {
    for (size_t i = 0; i < 16; ++i, a += sizeof(float) / sizeof(T), b += 16) {
      const Word first = hn::BitCast(w, hn::LoadU(d, b)), second = hn::BitCast(w, hn::LoadU(d, b + kFloats));
      LORA_EACH_ROW {
        uint32_t word;
        std::memcpy(&word, a + r * a_stride, sizeof(word));
        const Word all = hn::Set(w, word);
        Dot(left[r], all, first, T());
        Dot(right[r], all, second, T());
      }
    }
  }
  LORA_EACH_ROW {
    if (from) {
      left[r] = hn::Add(left[r], hn::LoadU(d, from + r * kUnit));
      right[r] = hn::Add(right[r], hn::LoadU(d, from + r * kUnit + 16));
    }
    hn::StoreU(left[r], d, sums + r * kUnit);
    hn::StoreU(right[r], d, sums + r * kUnit + 16);
  }
}

// 8 rows of C = sums + low (8, ranks) · panel (ranks, 32) + `added`, which may be null and has C's stride.
template <class T>
HWY_NOINLINE void Finish(Matrix<const float> low, const float* panel, const float* sums, const T* added, T* c,
                         size_t c_stride) {
  const D d;
  Floats16 left[kRows], right[kRows];
  LORA_EACH_ROW {
    left[r] = hn::LoadU(d, sums + r * kUnit);
    right[r] = hn::LoadU(d, sums + r * kUnit + 16);
  }
  for (size_t k = 0; k < low.columns; ++k, panel += kUnit) {
    const Floats16 first = hn::LoadU(d, panel), second = hn::LoadU(d, panel + 16);
    LORA_EACH_ROW {
      const Floats16 factor = hn::Set(d, low.row(r)[k]);
      left[r] = hn::MulAdd(factor, first, left[r]);
      right[r] = hn::MulAdd(factor, second, right[r]);
    }
  }
  LORA_EACH_ROW {
    if (added) {
      left[r] = hn::Add(left[r], LoadFloats(d, added + r * c_stride));
      right[r] = hn::Add(right[r], LoadFloats(d, added + r * c_stride + 16));
    }
    StorePair(left[r], right[r], c + r * c_stride);
  }
}
#undef LORA_EACH_ROW

template <class T>
class Units {
 public:
  Units(const FoldedProduct<T>& product, T* c, const T* added, float* scratch)
      : low_(product.folded.low), added_(added), c_(c), c_stride_(product.c.stride), sums_(scratch) {
    low_.columns = product.folded.ranks();
  }

  static size_t ScratchFloats(size_t /*rows*/, size_t /*ranks*/) { return kRows * kUnit; }
  static size_t FoldedFloats(size_t ranks) { return ranks * kUnit; }

  // Columns [first, first + 32) of P as rows of 32.
  static void PackFolded(const FoldedTerm& folded, size_t first, float* to) {
    for (const LowRankMatrix& m : folded.matrices) {
      for (size_t k = 0; k < m.depth; k += 16, to += 16 * kUnit) {
        blocks::LayBlock(m, k, first, to, kUnit);
        blocks::LayBlock(m, k, first + 16, to + 16, kUnit);
      }
    }
  }

  HWY_INLINE void Ahead(Matrix<const T>, size_t) {}

  HWY_INLINE void Multiply(const UnitWork<T>& work) {
    for (size_t part = 0; part < kUnit; part += kRows) {
      const T* const a = work.a.row(part);
      float* const kept = work.kept + part * kUnit;
      const float* before = work.first ? nullptr : kept;
      float* const after = work.last ? sums_ : kept;
      for (size_t s = 0; s < work.steps; s += kSteps, before = after) {
        const size_t now = HWY_MIN(kSteps, work.steps - s);
        on_vectors::Multiply(a + s * kStepDepth<T>, work.a.stride, now, work.b + s * 2 * kFloats, before, after);
      }
      if (!work.last) continue;
      const size_t place = work.offset + part * c_stride_;
      Finish(low_.row_range(work.row + part, kRows), work.b + work.steps * 2 * kFloats, sums_,
             added_ ? added_ + place : nullptr, c_ + place, c_stride_);
    }
  }

  HWY_INLINE void End() {}

 private:
  Matrix<const float> low_;
  const T* added_;
  T* c_;
  size_t c_stride_;
  float* sums_;
};

}  // namespace lora::kernels::HWY_NAMESPACE::on_vectors
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_PRODUCT_VECTORS_INL_H_
