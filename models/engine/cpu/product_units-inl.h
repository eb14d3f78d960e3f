// What products on tiles (product_tiles-inl.h) and in vectors (product_vectors-inl.h) share. Both compute C by units of
// 32 rows and 32 columns, and the contraction by chunks of steps. A step is 16 words of the contraction; a word is a
// float32 or two neighbouring bfloat16.

#if defined(LORA_PRODUCT_UNITS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_PRODUCT_UNITS_INL_H_
#undef LORA_PRODUCT_UNITS_INL_H_
#else
#define LORA_PRODUCT_UNITS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>

#include "models/base/numbers.h"
#include "models/engine/cpu/bf16.h"
#include "models/engine/cpu/blocks-inl.h"
#include "models/engine/cpu/matrix.h"
#include "models/engine/cpu/simd-inl.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

using blocks::D;
using blocks::kFloats;
using blocks::W;
using blocks::Word;

constexpr size_t kUnit = 32, kSums = kUnit * kUnit;
template <class T>
constexpr size_t kStepDepth = 64 / sizeof(T);

// Prefetches rows, a few cache lines at a time.
class Prefetcher {
 public:
  Prefetcher() = default;
  template <class T>
  explicit Prefetcher(Matrix<const T> m)
      : row_(reinterpret_cast<const char*>(m.data)),
        stride_(m.stride * sizeof(T)),
        width_(m.columns * sizeof(T)),
        rows_(m.rows) {}
  // Divides the cache lines among so many steps.
  void Share(size_t steps) { each_ = ceil_div(rows_ * ceil_div(width_, kLine), steps); }
  HWY_INLINE void Step() {
    for (size_t i = 0; i < each_ && rows_ > 0; ++i) {
      __builtin_prefetch(row_ + at_, 0, 2);
      at_ += kLine;
      if (at_ < width_) continue;
      at_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  static constexpr size_t kLine = 64;
  const char* row_ = nullptr;
  size_t stride_ = 0, width_ = 0, rows_ = 0, at_ = 0, each_ = 0;
};

// 32 sums as a row of C.
HWY_INLINE void StorePair(hn::Vec<D> first, hn::Vec<D> second, Bf16* to) {
  __m512i both;
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(both) : "v"(first.raw), "v"(second.raw));
  _mm512_storeu_si512(to, both);
}
HWY_INLINE void StorePair(hn::Vec<D> first, hn::Vec<D> second, float* to) {
  const D d;
  hn::StoreU(first, d, to);
  hn::StoreU(second, d, to + 16);
}

// A unit of C and a chunk of the contraction: 32 rows of A times 32 columns.
template <class T>
struct UnitWork {
  Matrix<const T> a;  // (32, depth of the chunk)
  size_t steps;
  const float* b;  // [step][16 columns][word][column]; in the last chunk the folded term as PackFolded lays it follows
  float* kept;     // the unit's sums between chunks
  bool first, last;    // whether the chunk is the first or the last
  size_t row, offset;  // the unit's first row in C, and its first element
};

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_PRODUCT_UNITS_INL_H_
