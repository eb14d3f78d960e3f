// The thin products on AMX, for bfloat16 activations (see low_rank.h, tiles-inl.h). Included by low_rank.cpp alone.
//
// The adapter's float32 side is split into two bfloat16 (high, low). Panels are B tiles, contiguous:
//   project  [block of 16 columns][block of 32 of the depth][high, low]
//   add      [block of 16 of the depth][block of 16 columns][high, low]: SplitBlock
// and of gradient A tiles: [block of 16 of the rank][block of 32 rows][high, low].

namespace tile_products {

using namespace tiles;

constexpr size_t Blocks(size_t n, size_t block) { return (n + block - 1) / block; }

// The tiles (high, low) of P's rows k … k + 31, two by two, and 16 columns from c.
HWY_INLINE void PackTiles(const LowRankMatrix& p, size_t k, size_t c, float* to) {
  const W w;
  for (size_t i = 0; i < kRows; ++i) {
    const Split a = SplitFloats(RowOf(p, k + 2 * i, c)), b = SplitFloats(RowOf(p, k + 2 * i + 1, c));
    hn::StoreU(Pair(a.high, b.high), w, reinterpret_cast<uint32_t*>(to) + i * 16);
    hn::StoreU(Pair(a.low, b.low), w, reinterpret_cast<uint32_t*>(to) + kFloats + i * 16);
  }
}

// The same where P's columns are contiguous in memory (row_stride 1): 32 numbers of one column become 16 words down a
// tile's column.
inline void PackTransposed(const LowRankMatrix& p, size_t k, size_t c, float* to) {
  const D d;
  const W w;
  alignas(64) uint32_t words[2][16][16] = {};  // [high, low][column][pair]
  const auto scale = hn::Set(d, p.scale);
  for (size_t i = 0; i < HWY_MIN(size_t{16}, p.columns - c); ++i) {
    const float* const from = p.m + (c + i) * p.column_stride + k;
    const Split a = SplitFloats(hn::Mul(hn::LoadU(d, from), scale));
    const Split b = SplitFloats(hn::Mul(hn::LoadU(d, from + 16), scale));
    const auto even_pairs = [&](Word x, Word y) HWY_ATTR {
      return hn::Or(hn::ShiftRight<16>(hn::ConcatEven(w, y, x)), hn::ConcatOdd(w, y, x));
    };
    hn::Store(even_pairs(a.high, b.high), w, words[0][i]);
    hn::Store(even_pairs(a.low, b.low), w, words[1][i]);
  }
  TransposeBlock(words[0], 16, to);
  TransposeBlock(words[1], 16, to + kFloats);
}

inline void PackProject(const LowRankMatrix& p, float* panel) {
  for (size_t c = 0; c < p.columns; c += 16) {
    for (size_t k = 0; k < p.depth; k += kDepth, panel += 2 * kFloats) {
      if (p.row_stride == 1 && k + kDepth <= p.depth) {
        PackTransposed(p, k, c, panel);
      } else {
        PackTiles(p, k, c, panel);
      }
    }
  }
}

inline void PackAdd(const LowRankMatrix& p, float* panel) {
  for (size_t k = 0; k < p.depth; k += 16) {
    for (size_t c = 0; c < p.columns; c += 16, panel += 2 * kFloats) SplitBlock(p, k, c, panel, panel + kFloats);
  }
}

inline void PackGradient(const LowRankMatrix& p, float* panel) {
  const W w;
  alignas(64) uint32_t words[2][16][16];  // [high, low][pair of rows][column]
  for (size_t c = 0; c < p.columns; c += 16) {
    for (size_t k = 0; k < p.depth; k += kDepth, panel += 2 * kFloats) {
      for (size_t i = 0; i < 16; ++i) {
        const Split a = SplitFloats(RowOf(p, k + 2 * i, c)), b = SplitFloats(RowOf(p, k + 2 * i + 1, c));
        hn::Store(Pair(a.high, b.high), w, words[0][i]);
        hn::Store(Pair(a.low, b.low), w, words[1][i]);
      }
      TransposeBlock(words[0], 16, panel);
      TransposeBlock(words[1], 16, panel + kFloats);
    }
  }
}

// 16·kR rows by 16·kC columns: x's tiles are read once for all of the columns. Those of the rows `ahead` are asked for.
template <size_t kR, size_t kC>
HWY_INLINE void ProjectTiles(const Bf16* x, size_t x_stride, size_t steps, const Bf16* ahead, const float* panel,
                             float* y, size_t y_stride) {
  const size_t x_bytes = x_stride * sizeof(Bf16);
  const auto for_each_sum = [](auto f) HWY_ATTR {
    f(std::integral_constant<int, 0>());
    if constexpr (kR * kC > 1) f(std::integral_constant<int, 1>());
    if constexpr (kR * kC > 2) f(std::integral_constant<int, 2>());
    if constexpr (kR * kC > 3) f(std::integral_constant<int, 3>());
    if constexpr (kR * kC > 4) f(std::integral_constant<int, 4>());
    if constexpr (kR * kC > 5) f(std::integral_constant<int, 5>());
  };
  for_each_sum([](auto sum) HWY_ATTR { Zero<sum()>(); });
  for (size_t k = 0; k < steps; ++k) {
    for (size_t i = 0; ahead && i < kR * kRows; ++i) __builtin_prefetch(ahead + i * x_stride + k * kDepth);
    for_each_sum([&](auto sum) HWY_ATTR {
      constexpr size_t r = sum() / kC, c = sum() % kC;
      if constexpr (c == 0) Load<6>(x + r * kRows * x_stride + k * kDepth, x_bytes);
      const float* const tile = panel + (c * steps + k) * 2 * kFloats;
      Load<7>(tile, 64);
      Dot<sum(), 6, 7>();
      Load<7>(tile + kFloats, 64);
      Dot<sum(), 6, 7>();
    });
  }
  for_each_sum([&](auto sum) HWY_ATTR {
    Store<sum()>(y + sum() / kC * kRows * y_stride + sum() % kC * 16, y_stride * sizeof(float));
  });
}

inline void Project(const Bf16* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns,
                    float* y, size_t y_stride, float* scratch) {
  const Scope scope;
  const size_t steps = Blocks(depth, kDepth);
  for (size_t r = 0; r < rows; r += 32) {
    const size_t n = HWY_MIN(size_t{32}, rows - r);
    const Bf16* from = x + r * x_stride;
    size_t stride = x_stride;
    float* to = y + r * y_stride;
    size_t to_stride = y_stride;
    if (n < 32 || depth % kDepth != 0) {
      auto* const copy = reinterpret_cast<Bf16*>(scratch);
      stride = steps * kDepth;
      std::fill_n(copy, 32 * stride, Bf16{0});
      for (size_t i = 0; i < n; ++i) std::copy_n(from + i * x_stride, depth, copy + i * stride);
      from = copy;
      to = scratch + 16 * stride;
      to_stride = columns;
    }
    const Bf16* ahead = from == x + r * x_stride && r + 64 <= rows ? from + 32 * x_stride : nullptr;
    size_t c = 0;
    const auto tiles_of = [&](size_t column) { return panel + column / 16 * steps * 2 * kFloats; };
    for (; c + 48 <= columns; c += 48, ahead = nullptr) {
      ProjectTiles<2, 3>(from, stride, steps, ahead, tiles_of(c), to + c, to_stride);
    }
    if (columns - c == 32) ProjectTiles<2, 2>(from, stride, steps, ahead, tiles_of(c), to + c, to_stride);
    if (columns - c == 16) ProjectTiles<2, 1>(from, stride, steps, ahead, tiles_of(c), to + c, to_stride);
    if (to != y + r * y_stride) {
      for (size_t i = 0; i < n; ++i) std::copy_n(to + i * columns, columns, y + (r + i) * y_stride);
    }
  }
}

inline void Add(const float* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, Bf16* y,
                size_t y_stride, float* scratch) {
  const Scope scope;
  const D d;
  const W w;
  const hn::Rebind<uint16_t, W> half;
  const size_t blocks = depth / 16, column_blocks = Blocks(columns, 16);
  float* const sums = scratch + blocks * 2 * kFloats;  // (32, 32)
  for (size_t r = 0; r < rows; r += 32) {
    const size_t n = HWY_MIN(size_t{32}, rows - r);
    for (size_t b = 0; b < blocks; ++b) {
      for (size_t i = 0; i < 32; ++i) {
        auto* const to = reinterpret_cast<uint16_t*>(scratch + b * 2 * kFloats + i * 16);
        const Split s = SplitFloats(i < n ? hn::LoadU(d, x + (r + i) * x_stride + b * 16) : hn::Zero(d));
        hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.high)), half, to);
        hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.low)), half, to + 16);
      }
    }
    for (size_t c = 0; c < column_blocks; c += 2) {
      const bool two = c + 1 < column_blocks;
      Zero<0>();
      Zero<1>();
      Zero<2>();
      Zero<3>();
      for (size_t b = 0; b < blocks; ++b) {
        const float* const tile = panel + (b * column_blocks + c) * 2 * kFloats;
        Load<4>(scratch + b * 2 * kFloats, 64);
        Load<5>(scratch + b * 2 * kFloats + kFloats, 64);
        const auto column = [&](const float* from, auto first) HWY_ATTR {
          constexpr int sum = first();
          Load<6>(from, 64);
          Dot<sum, 4, 6>();
          Dot<sum + 1, 5, 6>();
          Load<7>(from + kFloats, 64);
          Dot<sum, 4, 7>();
          Dot<sum + 1, 5, 7>();
        };
        column(tile, std::integral_constant<int, 0>());
        if (two) column(tile + 2 * kFloats, std::integral_constant<int, 2>());
      }
      Store<0>(sums, 128);
      Store<1>(sums + 16 * 32, 128);
      Store<2>(sums + 16, 128);
      Store<3>(sums + 16 * 32 + 16, 128);
      const size_t width = HWY_MIN(size_t{32}, columns - c * 16);
      for (size_t i = 0; i < n; ++i) {
        Bf16* const to = y + (r + i) * y_stride + c * 16;
        ForEach(width, [&](auto tag, size_t j) HWY_ATTR {
          StoreFloats(tag, hn::Add(LoadFloats(tag, to + j), LoadFloats(tag, sums + i * 32 + j)), to + j);
        });
      }
    }
  }
}

// scratch: 32 rows of x as B tiles, the sums of all tiles of out.
inline void Gradient(const float* panel, size_t rank, const Bf16* x, size_t x_stride, size_t rows, size_t columns,
                     float scale, float* out, size_t out_stride, float* scratch) {
  const Scope scope;
  const size_t steps = Blocks(rows, kDepth), blocks = Blocks(columns, 16), ranks = Blocks(rank, 16);
  float* const pairs = scratch;
  float* const sums = pairs + blocks * kFloats;  // [block of 16 of the rank][block of 16 columns]
  std::fill_n(sums, ranks * blocks * kFloats, 0.0f);
  for (size_t s = 0; s < steps; ++s) {
    const size_t n = HWY_MIN(kDepth, rows - s * kDepth);
    const Bf16* const from = x + s * kDepth * x_stride;
    const size_t whole = n == kDepth ? columns / 32 * 32 : 0;
    PairWholeRows(from, x_stride, whole / 32, pairs, 2 * kFloats);
    for (size_t c = whole; c < columns; c += 16) {
      Bf16 copy[kDepth * 16] = {};
      for (size_t i = 0; i < n; ++i)
        std::copy_n(from + i * x_stride + c, HWY_MIN(size_t{16}, columns - c), copy + i * 16);
      PairRows(copy, 16, n, pairs + c / 16 * kFloats);
    }
    for (size_t k = 0; k < ranks; ++k) {
      const float* const factors = panel + (k * steps + s) * 2 * kFloats;
      Load<4>(factors, 64);
      Load<5>(factors + kFloats, 64);
      const auto column = [&](size_t b, auto sum) HWY_ATTR {
        if (b >= blocks) return;
        float* const kept = sums + (k * blocks + b) * kFloats;
        Load<sum()>(kept, 64);
        Load<6>(pairs + b * kFloats, 64);
        Dot<sum(), 4, 6>();
        Dot<sum(), 5, 6>();
        Store<sum()>(kept, 64);
      };
      for (size_t b = 0; b < blocks; b += 4) {
        column(b, std::integral_constant<int, 0>());
        column(b + 1, std::integral_constant<int, 1>());
        column(b + 2, std::integral_constant<int, 2>());
        column(b + 3, std::integral_constant<int, 3>());
      }
    }
  }
  for (size_t k = 0; k < rank; ++k) {
    for (size_t b = 0; b < blocks; ++b) {
      const float* const kept = sums + (k / 16 * blocks + b) * kFloats + k % 16 * 16;
      ForEach(HWY_MIN(size_t{16}, columns - b * 16), [&](auto tag, size_t j) HWY_ATTR {
        StoreFloats(tag, hn::Mul(LoadFloats(tag, kept + j), hn::Set(tag, scale)), out + k * out_stride + b * 16 + j);
      });
    }
  }
}

}  // namespace tile_products
