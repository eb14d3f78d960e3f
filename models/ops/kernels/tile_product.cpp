#include "models/ops/kernels/tile_product.h"

#include <algorithm>

#include "models/ops/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/ops/kernels/tile_product.cpp"
#include <hwy/foreach_target.h>
// The includes below are made once an instruction set.
#include <hwy/highway.h>

#include "models/ops/kernels/tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

#if LORA_AMX
using namespace tiles;

// 32 rows of 32 columns of x as two B tiles.
HWY_INLINE void PairRowsTwice(const Bf16* x, size_t x_stride, float* tiles) {
  alignas(64) static constexpr uint16_t kFirst[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                      8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i first = _mm512_load_si512(kFirst), second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
  for (size_t i = 0; i < kRows; ++i, x += 2 * x_stride) {
    const __m512i upper = _mm512_loadu_si512(x), lower = _mm512_loadu_si512(x + x_stride);
    _mm512_storeu_si512(tiles + i * 16, _mm512_permutex2var_epi16(upper, first, lower));
    _mm512_storeu_si512(tiles + kFloats + i * 16, _mm512_permutex2var_epi16(upper, second, lower));
  }
}

// M's columns [first, first + 32) as tiles [block of 32 of the depth][2].
HWY_INLINE void PackTerm(const ProductTerm& term, size_t first, float* to) {
  for (size_t k = 0; k < term.depth; k += kDepth, to += 2 * kFloats) {
    if (term.transposed) {
      TransposeTile(term.m + first * term.m_stride + k, term.m_stride / 2, to);
      TransposeTile(term.m + (first + 16) * term.m_stride + k, term.m_stride / 2, to + kFloats);
    } else {
      PairRowsTwice(term.m + k * term.m_stride + first, term.m_stride, to);
    }
  }
}

HWY_INLINE void PackFolded(const FoldedTerm& folded, size_t first, float* to) {
  const size_t column_blocks = (folded.columns + 15) / 16;
  for (size_t part = 0; part < 2; ++part) {  // high, low
    for (size_t b = 0; b < folded.blocks; ++b) {
      for (size_t half = 0; half < 2; ++half, to += kFloats) {
        std::copy_n(folded.panel + ((b * column_blocks + first / 16 + half) * 2 + part) * kFloats, kFloats, to);
      }
    }
  }
}

// C's tiles 0 … 3 += 32 rows of A times 32 columns; b steps through its tiles.
HWY_INLINE const float* Accumulate(const Bf16* a, size_t a_stride, size_t steps, const float* b) {
  const size_t bytes = a_stride * sizeof(Bf16);
  const Bf16* const below = a + kRows * a_stride;
  for (size_t s = 0; s < steps; ++s, b += 2 * kFloats) {
    Load<6>(b, 64);
    Load<4>(a + s * kDepth, bytes);
    Dot<0, 4, 6>();
    Load<7>(b + kFloats, 64);
    Dot<1, 4, 7>();
    Load<5>(below + s * kDepth, bytes);
    Dot<2, 5, 6>();
    Dot<3, 5, 7>();
  }
  return b;
}

// Asks for the share `part` of `parts` of M's columns.
HWY_INLINE void Fetch(const ProductTerm& term, ColumnRange columns, size_t part, size_t parts) {
  constexpr size_t kLine = 64 / sizeof(Bf16);
  const size_t rows = term.transposed ? columns.count : term.depth;
  const size_t width = term.transposed ? term.depth : columns.count;
  const Bf16* const from = term.transposed ? term.m + columns.first * term.m_stride : term.m + columns.first;
  for (size_t r = rows * part / parts; r < rows * (part + 1) / parts; ++r) {
    for (size_t i = 0; i < width; i += kLine) __builtin_prefetch(from + r * term.m_stride + i, 0, 2);
  }
}

void Product(std::span<const ProductTerm> terms, const FoldedTerm& folded, size_t rows, ColumnRange now,
             ColumnRange next, Bf16* c, size_t c_stride, bool add, float* scratch) {
  const auto [first, count] = now;
  const Scope scope;
  const D d;
  float* const sums = scratch;  // (32, 32)
  float* const packed = sums + 32 * 32;
  size_t steps = 2 * folded.blocks;
  for (const ProductTerm& term : terms) steps += term.depth / kDepth;
  for (size_t column = 0; column < count; column += 32) {
    float* to = packed + column / 32 * steps * 2 * kFloats;
    for (const ProductTerm& term : terms) {
      PackTerm(term, first + column, to);
      to += term.depth / kDepth * 2 * kFloats;
    }
    PackFolded(folded, first + column, to);
  }
  const size_t split_stride = folded.blocks * 32;
  for (size_t r = 0; r < rows; r += 32) {
    for (const ProductTerm& term : terms) Fetch(term, next, r / 32, rows / 32);
    for (size_t column = 0; column < count; column += 32) {
      Zero<0>();
      Zero<1>();
      Zero<2>();
      Zero<3>();
      const float* b = packed + column / 32 * steps * 2 * kFloats;
      for (const ProductTerm& term : terms) {
        b = Accumulate(term.a + r * term.a_stride, term.a_stride, term.depth / kDepth, b);
      }
      if (folded.blocks > 0) {
        const Bf16* const low = folded.split + r * split_stride;
        b = Accumulate(low, split_stride, folded.blocks, b);
        Accumulate(low, split_stride, folded.blocks, b);
      }
      Store<0>(sums, 128);
      Store<1>(sums + 16, 128);
      Store<2>(sums + 16 * 32, 128);
      Store<3>(sums + 16 * 32 + 16, 128);
      for (size_t i = 0; i < 32; ++i) {
        Bf16* const to = c + (r + i) * c_stride + column;
        auto low = hn::LoadU(d, sums + i * 32), high = hn::LoadU(d, sums + i * 32 + 16);
        if (add) {
          low = hn::Add(low, LoadFloats(d, to));
          high = hn::Add(high, LoadFloats(d, to + 16));
        }
        __m512i rounded;  // a processor that has tiles has this
        asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(rounded) : "v"(low.raw), "v"(high.raw));
        _mm512_storeu_si512(to, rounded);
      }
    }
  }
}

void SplitRows(const float* low, size_t low_stride, size_t rows, size_t blocks, Bf16* split) {
  const D d;
  const hn::Rebind<uint16_t, W> half;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t b = 0; b < blocks; ++b) {
      auto* const to = reinterpret_cast<uint16_t*>(split + (r * blocks + b) * 32);
      const Split s = SplitFloats(hn::LoadU(d, low + r * low_stride + b * 16));
      hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.high)), half, to);
      hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.low)), half, to + 16);
    }
  }
}
#else
void Product(std::span<const ProductTerm>, const FoldedTerm&, size_t, ColumnRange, ColumnRange, Bf16*, size_t, bool,
             float*) {}
void SplitRows(const float*, size_t, size_t, size_t, Bf16*) {}
#endif

bool HasTiles() { return LORA_AMX && amx(); }

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::kernels {

HWY_EXPORT(Product);
HWY_EXPORT(SplitRows);
HWY_EXPORT(HasTiles);

bool tile_product_serves(size_t rows, size_t depth, size_t columns) {
  return rows % 32 == 0 && depth % 32 == 0 && columns % 32 == 0 && HWY_DYNAMIC_DISPATCH(HasTiles)();
}

size_t tile_split_floats(size_t rows, size_t blocks) { return rows * blocks * 16; }

size_t tile_product_scratch_floats(size_t depths, size_t blocks, size_t columns) {
  return 32 * 32 + (depths + 64 * blocks) * columns / 2;
}

void tile_split(const float* low, size_t low_stride, size_t rows, size_t blocks, Bf16* split) {
  HWY_DYNAMIC_DISPATCH(SplitRows)(low, low_stride, rows, blocks, split);
}

void tile_product(std::span<const ProductTerm> terms, const FoldedTerm& folded, size_t rows, ColumnRange now,
                  ColumnRange next, Bf16* c, size_t c_stride, bool add, float* scratch) {
  HWY_DYNAMIC_DISPATCH(Product)(terms, folded, rows, now, next, c, c_stride, add, scratch);
}

}  // namespace lora::kernels
#endif
