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

// C goes by units of 32 rows and 32 columns, whose sums stay in four tiles; the contraction by chunks, short enough for
// the columns of M that are laid out, and the sums between chunks, to stay in the second-level cache.
constexpr size_t kUnit = 32, kSums = kUnit * kUnit;

struct Chunk {
  const ProductTerm* term;
  size_t k, depth;
};

HWY_INLINE Chunk FirstChunk(const ProductTerm& term) { return {&term, 0, tile_chunk_depth(term.depth)}; }

// The chunk after one that is not the last.
HWY_INLINE Chunk NextChunk(const Chunk& chunk) {
  const size_t k = chunk.k + chunk.depth;
  if (k == chunk.term->depth) return FirstChunk(chunk.term[1]);
  return {chunk.term, k, HWY_MIN(tile_chunk_depth(chunk.term->depth), chunk.term->depth - k)};
}

// Of [block of 32 of the depth][32 columns] at `step` and `column` of a chunk: what two B tiles are made of.
HWY_INLINE const Bf16* Block(const Chunk& chunk, size_t step, size_t column) {
  const ProductTerm& term = *chunk.term;
  const size_t k = chunk.k + step * kDepth;
  return term.transposed ? term.m + column * term.m_stride + k : term.m + k * term.m_stride + column;
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

// Rows of bfloat16 whose cache lines are asked for a few at a time.
class Wanted {
 public:
  Wanted() = default;
  Wanted(const Bf16* from, size_t stride, size_t rows, size_t width)
      : row_(reinterpret_cast<const char*>(from)), stride_(2 * stride), width_(2 * width), rows_(rows) {}
  // All of them in so many turns.
  void Share(size_t turns) { each_ = (rows_ * ((width_ + kLine - 1) / kLine) + turns - 1) / turns; }
  HWY_INLINE void Ask() {
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

// What vectors do while tiles multiply, a little at each step: rounding the unit before into C, asking for what this
// unit's place in C holds and for the next rows of A.
struct Meanwhile {
  size_t c_stride;
  bool add;
  size_t rows_each = 1;
  const float* sums = nullptr;  // of the unit before, as StoreSums writes them
  Bf16* before = nullptr;
  size_t rounded = kUnit;
  Bf16* here = nullptr;
  size_t asked = kUnit;
  Wanted a = {};

  HWY_INLINE void RoundRow() {
    const D d;
    Bf16* const to = before + rounded * c_stride;
    const float* const from = sums + rounded / kRows * 2 * kFloats + rounded % kRows * 16;
    auto low = hn::LoadU(d, from), high = hn::LoadU(d, from + kFloats);
    if (add) {
      low = hn::Add(low, LoadFloats(d, to));
      high = hn::Add(high, LoadFloats(d, to + 16));
    }
    __m512i both;  // a processor that has tiles has this
    asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(both) : "v"(low.raw), "v"(high.raw));
    _mm512_storeu_si512(to, both);
    ++rounded;
  }
  HWY_INLINE void Step() {
    for (size_t i = 0; i < rows_each; ++i) {
      if (rounded < kUnit) RoundRow();
      if (asked < kUnit) asm volatile("prefetchw (%0)" ::"r"(here + asked++ * c_stride));
    }
    a.Ask();
  }
  HWY_INLINE void RoundAll() {
    while (rounded < kUnit) RoundRow();
  }
};

// The unit's tiles += 32 rows of A times 32 columns; b steps through its tiles.
HWY_INLINE const float* Accumulate(const Bf16* a, size_t a_stride, size_t steps, const float* b, Meanwhile& meanwhile) {
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

// M's columns [first, first + 32 · units) of a chunk as tiles [block of 32 of the depth][2] a unit. They come from far
// away and are read across their rows where transposed: those of the next unit are asked for meanwhile.
HWY_INLINE void PackChunk(const Chunk& chunk, size_t first, size_t units, size_t unit_floats, float* to) {
  const size_t stride = chunk.term->m_stride, steps = chunk.depth / kDepth;
  if (chunk.term->transposed) {
    Wanted wanted(Block(chunk, 0, first), stride, units * kUnit, chunk.depth);
    wanted.Share(steps * units);
    for (size_t s = 0; s < steps; ++s) wanted.Ask();
    for (size_t u = 0; u < units; ++u) {
      for (size_t s = 0; s < steps; ++s) {
        wanted.Ask();
        const Bf16* const from = Block(chunk, s, first + u * kUnit);
        float* const tiles = to + u * unit_floats + s * 2 * kFloats;
        TransposeTile(from, stride / 2, tiles);
        TransposeTile(from + 16 * stride, stride / 2, tiles + kFloats);
      }
    }
  } else {
    for (size_t s = 0; s < steps; ++s) {
      PairWholeRows(Block(chunk, s, first), stride, units, to + s * 2 * kFloats, unit_floats);
    }
  }
}

void Product(std::span<const ProductTerm> terms, const FoldedTerm& folded, size_t rows, ColumnRange now, Bf16* c,
             size_t c_stride, bool add, float* scratch) {
  const Scope scope;
  const size_t deepest = tile_chunk_depth(terms), units = now.count / kUnit,
               folded_floats = 4 * folded.blocks * kFloats;
  float* const sums[2] = {scratch, scratch + kSums};  // of a unit, and of the one before
  float* const packed = scratch + 2 * kSums;
  float* const partial = packed + units * (deepest * kUnit / 2 + folded_floats);  // of all units, between chunks
  const size_t split_stride = folded.blocks * 32;
  Meanwhile meanwhile{c_stride, add};
  size_t turn = 0;
  bool last = false;
  for (Chunk chunk = FirstChunk(terms[0]), then = chunk; !last; chunk = then) {
    const ProductTerm& term = *chunk.term;
    const bool first = &term == &terms[0] && chunk.k == 0;
    last = &term == &terms.back() && chunk.k + chunk.depth == term.depth;
    then = last ? chunk : NextChunk(chunk);
    const size_t steps = chunk.depth / kDepth, unit_floats = steps * 2 * kFloats + (last ? folded_floats : 0);
    PackChunk(chunk, now.first, units, unit_floats, packed);
    for (size_t u = 0; last && u < units; ++u) {
      PackFolded(folded, now.first + u * kUnit, packed + u * unit_floats + steps * 2 * kFloats);
    }
    const size_t unit_steps = steps + (last ? 2 * folded.blocks : 0);
    meanwhile.rows_each = (kUnit + unit_steps - 1) / unit_steps;
    for (size_t r = 0; r < rows; r += kUnit) {
      const Chunk& following = r + kUnit < rows ? chunk : then;
      const size_t row = r + kUnit < rows ? r + kUnit : 0;
      meanwhile.a = Wanted(following.term->a + row * following.term->a_stride + following.k, following.term->a_stride,
                           kUnit, following.depth);
      meanwhile.a.Share(units * unit_steps);
      for (size_t u = 0; u < units; ++u) {
        float* const kept = partial + (r / kUnit * units + u) * kSums;
        StartSums(first ? nullptr : kept);
        if (last) {
          meanwhile.here = c + r * c_stride + u * kUnit;
          meanwhile.asked = 0;
        }
        const float* b =
            Accumulate(term.a + r * term.a_stride + chunk.k, term.a_stride, steps, packed + u * unit_floats, meanwhile);
        if (!last) {
          StoreSums(kept);
          continue;
        }
        if (folded.blocks > 0) {
          const Bf16* const low = folded.split + r * split_stride;
          b = Accumulate(low, split_stride, folded.blocks, b, meanwhile);
          Accumulate(low, split_stride, folded.blocks, b, meanwhile);
        }
        meanwhile.RoundAll();
        float* const to = sums[turn++ % 2];
        StoreSums(to);
        meanwhile.sums = to;
        meanwhile.before = meanwhile.here;
        meanwhile.rounded = 0;
      }
    }
  }
  meanwhile.RoundAll();
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
void Product(std::span<const ProductTerm>, const FoldedTerm&, size_t, ColumnRange, Bf16*, size_t, bool, float*) {}
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

size_t tile_chunk_depth(size_t depth) {
  constexpr size_t kMost = 1536;
  const size_t chunks = (depth + kMost - 1) / kMost;
  return ((depth + chunks - 1) / chunks + 31) / 32 * 32;
}

size_t tile_chunk_depth(std::span<const ProductTerm> terms) {
  size_t deepest = 0;
  for (const ProductTerm& term : terms) deepest = std::max(deepest, tile_chunk_depth(term.depth));
  return deepest;
}

size_t tile_product_scratch_floats(std::span<const ProductTerm> terms, const FoldedTerm& folded, size_t rows,
                                   size_t columns) {
  const size_t deepest = tile_chunk_depth(terms);
  const bool partial = terms.size() > 1 || deepest < terms[0].depth;  // sums are kept between chunks
  return 2 * 32 * 32 + (deepest + 64 * folded.blocks) * columns / 2 + (partial ? rows * columns : 0);
}

void tile_split(const float* low, size_t low_stride, size_t rows, size_t blocks, Bf16* split) {
  HWY_DYNAMIC_DISPATCH(SplitRows)(low, low_stride, rows, blocks, split);
}

void tile_product(std::span<const ProductTerm> terms, const FoldedTerm& folded, size_t rows, ColumnRange columns,
                  Bf16* c, size_t c_stride, bool add, float* scratch) {
  HWY_DYNAMIC_DISPATCH(Product)(terms, folded, rows, columns, c, c_stride, add, scratch);
}

}  // namespace lora::kernels
#endif
