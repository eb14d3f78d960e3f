// Products of few rows of int8 and NF4 on AMX's tiles of bytes (see row_product.h, tiles-inl.h). A number of x is a whole
// number of 24 bits times a factor of its row, and a level of NF4 is one divided by kWhole. A whole number has three
// digits, bytes with a sign. Products of digits and their sums are exact; of NF4 what is below the third digit of a
// product is left out.

#if defined(LORA_ROW_CODE_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_ROW_CODE_TILES_INL_H_
#undef LORA_ROW_CODE_TILES_INL_H_
#else
#define LORA_ROW_CODE_TILES_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "models/engine/cpu/quantized.h"
#include "models/engine/cpu/row_product.h"
#include "models/engine/cpu/row_tiles-inl.h"
#include "models/engine/cpu/tiles-inl.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::row_code_tiles {

using namespace tiles;
using row_tiles::kOutputs;

constexpr size_t kColumns = 64;  // of a tile
constexpr size_t kDigits = 3, kBlockFloats = kDigits * kFloats;
constexpr float kWhole = 127 * 65536;      // the largest whole number: its digits are 127, 0, 0
constexpr size_t kMostColumns = 1u << 16;  // whose products' sum an int32 holds
static_assert(kColumns == kNf4Block);

inline size_t group_floats(size_t columns) { return kRows + columns / kColumns * kBlockFloats; }

// The largest magnitude of a row of whole vectors; NaN where a number is not finite.
inline float Most(const float* row, size_t columns) {
  const D d;
  auto most = hn::Zero(d), nothing = hn::Zero(d);
  for (size_t k = 0; k < columns; k += 16) {
    const auto v = hn::LoadU(d, row + k);
    most = hn::Max(most, hn::Abs(v));
    nothing = hn::MulAdd(v, hn::Zero(d), nothing);
  }
  return hn::GetLane(hn::MaxOfLanes(d, most)) + hn::GetLane(hn::SumOfLanes(d, nothing));
}

// The digits of 16 numbers, as bytes of three tiles' rows.
HWY_INLINE void StoreDigits(hn::Vec<D> numbers, int8_t* to) {
  const hn::RebindToSigned<D> whole;
  const hn::Rebind<int8_t, D> bytes;
  constexpr size_t kTileBytes = kFloats * sizeof(float);
  const auto half = hn::Set(whole, 128);
  const auto low = hn::NearestInt(numbers);
  const auto middle = hn::ShiftRight<8>(hn::Add(low, half)), high = hn::ShiftRight<8>(hn::Add(middle, half));
  const auto store = [&](auto digit, size_t tile) HWY_ATTR {
    const hn::RebindToUnsigned<decltype(bytes)> lower;
    const auto byte = hn::TruncateTo(lower, hn::BitCast(W(), digit));
    hn::StoreU(hn::BitCast(bytes, byte), bytes, to + tile * kTileBytes);
  };
  store(high, 0);
  store(middle, 1);
  store(low, 2);
}

// x (rows, columns) -> [16 rows]: the factors of the rows, and [64 columns][digit] B tiles, with zeros for rows that are
// missing. kHalves: of the 64 columns the even ones lie before the odd ones, as NF4's codes are read.
template <bool kHalves>
HWY_NOINLINE void LayDigits(Matrix<const float> x, float* to) {
  const D d;
  constexpr float kLeast = 1e-30f;  // a row that is smaller counts as zeros, for its factor's inverse is not finite
  alignas(64) int8_t digits[kDigits * kFloats * sizeof(float)];
  float inverses[kRows];
  for (size_t first = 0; first < x.rows; first += kRows) {
    const size_t rows = HWY_MIN(kRows, x.rows - first);
    for (size_t r = 0; r < kRows; ++r) {
      const float most = r < rows ? Most(x.row(first + r), x.columns) : 0;
      const bool nothing = most < kLeast;
      to[r] = nothing ? 0 : most / kWhole;
      inverses[r] = nothing ? 0 : kWhole / most;
    }
    to += kRows;
    std::memset(digits, 0, sizeof(digits));
    for (size_t k = 0; k < x.columns; k += kColumns) {
      for (size_t r = 0; r < rows; ++r) {
        const float* const from = x.row(first + r) + k;
        const auto inverse = hn::Set(d, inverses[r]);
        int8_t* const at = digits + r * kColumns;
        for (size_t i = 0; i < kColumns; i += 32) {
          if (kHalves) {
            hn::Vec<D> even, odd;
            hn::LoadInterleaved2(d, from + i, even, odd);
            StoreDigits(hn::Mul(even, inverse), at + i / 2);
            StoreDigits(hn::Mul(odd, inverse), at + kColumns / 2 + i / 2);
          } else {
            StoreDigits(hn::Mul(hn::LoadU(d, from + i), inverse), at + i);
            StoreDigits(hn::Mul(hn::LoadU(d, from + i + 16), inverse), at + i + 16);
          }
        }
      }
      for (size_t digit = 0; digit < kDigits; ++digit, to += kFloats) {
        TransposeBlock(digits + digit * kFloats * sizeof(float), 16, to);
      }
    }
  }
}

// Sums of products of digits, of 32 outputs and 16 rows: tiles 0 to 2 are those of 16 outputs, 3 to 5 of the others.
struct DigitSums {
  alignas(64) int32_t of[kDigits][2 * kFloats];

  HWY_INLINE void Store() {
    tiles::Store<0>(of[0], 64);
    tiles::Store<1>(of[1], 64);
    tiles::Store<2>(of[2], 64);
    tiles::Store<3>(of[0] + kFloats, 64);
    tiles::Store<4>(of[1] + kFloats, 64);
    tiles::Store<5>(of[2] + kFloats, 64);
  }
  // 2¹⁶ · first + 2⁸ · second + third, of an output.
  HWY_INLINE hn::Vec<D> Whole(size_t output) const {
    const D d;
    const hn::RebindToSigned<D> whole;
    const auto digit = [&](size_t i) HWY_ATTR { return hn::ConvertTo(d, hn::Load(whole, of[i] + output * 16)); };
    return hn::MulAdd(digit(0), hn::Set(d, 65536.0f), hn::MulAdd(digit(1), hn::Set(d, 256.0f), digit(2)));
  }
};
HWY_INLINE void ZeroSums() {
  Zero<0>();
  Zero<1>();
  Zero<2>();
  Zero<3>();
  Zero<4>();
  Zero<5>();
}

// Codes are A tiles where they lie.
struct Int8Sums {
  static size_t group_floats(size_t columns) { return row_code_tiles::group_floats(columns); }

  template <bool kAhead>
  static HWY_INLINE void Run(const RowWeight& w, size_t output, const float* x, float* sums) {
    const D d;
    const auto* const at = static_cast<const int8_t*>(w.values) + output * w.in;
    const auto factors = hn::LoadU(d, x);
    x += kRows;
    ZeroSums();
    for (size_t k = 0; k < w.in; k += kColumns, x += kBlockFloats) {
      Load<6>(at + k, w.in);
      Load<7>(x, 64);
      DotBytes<0, 6, 7>();
      Load<7>(x + kFloats, 64);
      DotBytes<1, 6, 7>();
      Load<7>(x + 2 * kFloats, 64);
      DotBytes<2, 6, 7>();
      Load<6>(at + kRows * w.in + k, w.in);
      DotBytes<5, 6, 7>();
      Load<7>(x + kFloats, 64);
      DotBytes<4, 6, 7>();
      Load<7>(x, 64);
      DotBytes<3, 6, 7>();
      if (!kAhead) continue;
      const int8_t* next = at + kOutputs * w.in + k;
      for (size_t r = 0; r < kOutputs; ++r, next += w.in) hwy::Prefetch(next);
    }
    DigitSums found;
    found.Store();
    for (size_t o = 0; o < kOutputs; ++o) {
      const auto scale = hn::Mul(factors, hn::Set(d, w.scales[output + o]));
      hn::Store(hn::Mul(found.Whole(o), scale), d, sums + o * 16);
    }
  }
};

// One of the digits of each level.
constexpr std::array<int8_t, 16> LevelDigits(size_t digit) {
  std::array<int8_t, 16> digits{};
  for (size_t i = 0; i < 16; ++i) {
    const double exact = static_cast<double>(kNf4Levels[i]) * kWhole;
    const auto low = static_cast<int32_t>(exact < 0 ? exact - 0.5 : exact + 0.5);
    const int32_t middle = (low + 128) >> 8, high = (middle + 128) >> 8;
    const int32_t of = digit == 0 ? high : digit == 1 ? middle : low;
    digits[i] = static_cast<int8_t>(of & 0xff);
  }
  return digits;
}

// Codes become the digits of levels a block of columns at a time: the next block's between the products of this one. The
// last block's sums are scaled behind them, so that neither waits for the other.
struct Nf4Sums {
  static size_t group_floats(size_t columns) { return row_code_tiles::group_floats(columns); }

  const uint8_t* at;
  size_t row_bytes;
  alignas(64) int8_t ready[2][kDigits][kOutputs * kColumns];  // of even and of odd blocks

  // The digits of 8 outputs from `first` on. A byte's upper half is an even column's code, its lower half the odd one's.
  HWY_INLINE void Prepare(size_t block, size_t first) {
    const hn::Rebind<uint8_t, hn::CappedTag<uint8_t, 64>> bytes;
    const hn::Half<decltype(bytes)> half;
    alignas(64) static constexpr uint32_t kShifts[16] = {4, 4, 4, 4, 4, 4, 4, 4};
    const Word shifts = hn::Load(W(), kShifts);
    const auto lower = hn::Set(bytes, 15);
    const auto table = [&](const std::array<int8_t, 16>& of) HWY_ATTR {
      const hn::CappedTag<uint8_t, 16> quarter;
      return hn::BitCast(bytes, hn::Vec<decltype(bytes)>{_mm512_broadcast_i32x4(
                                    hn::LoadU(quarter, reinterpret_cast<const uint8_t*>(of.data())).raw)});
    };
    static constexpr std::array<int8_t, 16> kFirst = LevelDigits(0), kSecond = LevelDigits(1), kThird = LevelDigits(2);
    const auto tables = std::array{table(kFirst), table(kSecond), table(kThird)};
    const uint8_t* codes = at + first * row_bytes + block * kColumns / 2;
    for (size_t r = first; r < first + 8; ++r, codes += row_bytes) {
      const auto read = hn::LoadU(half, codes);
      const Word both = hn::BitCast(W(), hn::Combine(bytes, read, read));
      const auto numbers = hn::And(hn::BitCast(bytes, hn::Shr(both, shifts)), lower);
      for (size_t digit = 0; digit < kDigits; ++digit) {
        hn::Store(hn::TableLookupBytes(tables[digit], numbers), bytes,
                  reinterpret_cast<uint8_t*>(ready[block % 2][digit]) + r * kColumns);
      }
    }
  }

  template <bool kAhead>
  static HWY_INLINE void Run(const RowWeight& w, size_t output, const float* x, float* sums) {
    const D d;
    const size_t blocks = w.in / kNf4Block;
    Nf4Sums weights;
    weights.row_bytes = w.in / 2;
    weights.at = static_cast<const uint8_t*>(w.values) + output * weights.row_bytes;
    const float* const scales = w.scales + output * blocks;
    const auto factors = hn::Mul(hn::LoadU(d, x), hn::Set(d, 65536 / kWhole));
    x += kRows;
    DigitSums found[2];  // of even and of odd blocks
    const auto add = [&](size_t block) HWY_ATTR {
      const float* scale = scales + block;
      for (size_t o = 0; o < kOutputs; ++o, scale += blocks) {
        const auto before = block == 0 ? hn::Zero(d) : hn::Load(d, sums + o * 16);
        hn::Store(hn::MulAdd(found[block % 2].Whole(o), hn::Set(d, *scale), before), d, sums + o * 16);
      }
    };
    for (size_t first = 0; first < kOutputs; first += 8) weights.Prepare(0, first);
    for (size_t block = 0; block < blocks; ++block, x += kBlockFloats) {
      const auto digits = [&](size_t digit, size_t half) {
        return weights.ready[block % 2][digit] + half * kRows * kColumns;
      };
      const auto prepare = [&](size_t first) HWY_ATTR {
        if (block + 1 < blocks) weights.Prepare(block + 1, first);
      };
      ZeroSums();
      Load<7>(x, 64);
      Load<6>(digits(0, 0), 64);
      DotBytes<0, 6, 7>();
      Load<6>(digits(1, 0), 64);
      DotBytes<1, 6, 7>();
      Load<6>(digits(2, 0), 64);
      DotBytes<2, 6, 7>();
      prepare(0);
      Load<6>(digits(0, 1), 64);
      DotBytes<3, 6, 7>();
      Load<6>(digits(1, 1), 64);
      DotBytes<4, 6, 7>();
      Load<6>(digits(2, 1), 64);
      DotBytes<5, 6, 7>();
      prepare(8);
      Load<7>(x + kFloats, 64);
      Load<6>(digits(0, 0), 64);
      DotBytes<1, 6, 7>();
      Load<6>(digits(1, 0), 64);
      DotBytes<2, 6, 7>();
      Load<6>(digits(0, 1), 64);
      DotBytes<4, 6, 7>();
      Load<6>(digits(1, 1), 64);
      DotBytes<5, 6, 7>();
      prepare(16);
      Load<7>(x + 2 * kFloats, 64);
      Load<6>(digits(0, 0), 64);
      DotBytes<2, 6, 7>();
      Load<6>(digits(0, 1), 64);
      DotBytes<5, 6, 7>();
      prepare(24);
      found[block % 2].Store();
      if (kAhead && block % 2 == 0) {
        const uint8_t* next = weights.at + kOutputs * weights.row_bytes + block * kColumns / 2;
        for (size_t r = 0; r < kOutputs; ++r, next += weights.row_bytes) hwy::Prefetch(next);
      }
      if (block > 0) add(block - 1);
    }
    add(blocks - 1);
    for (size_t o = 0; o < kOutputs; ++o) {
      hn::Store(hn::Mul(hn::Load(d, sums + o * 16), factors), d, sums + o * 16);
    }
  }
};

// Whether so many rows are multiplied so. To lay them out takes time, which a few rows do not pay for.
inline bool Takes(const RowWeight& w, size_t rows) {
  constexpr size_t kLeastRows = 6;
  const bool codes = w.encoding == RowEncoding::kInt8 || w.encoding == RowEncoding::kNf4;
  return codes && rows >= kLeastRows && w.in % kColumns == 0 && w.in <= kMostColumns &&
         w.out >= row_tiles::kLeastOutputs && amx();
}

}  // namespace lora::kernels::HWY_NAMESPACE::row_code_tiles
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_ROW_CODE_TILES_INL_H_
