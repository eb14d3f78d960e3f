#pragma once
// y = x · Wᵀ for few rows: the products of decoding, where a weight is read from memory for a handful of tokens. Each
// weight is read once, in the encoding it is stored in, at the memory's speed.
//
// x and y are float32 whatever the weight is, and sums are float32. In a model of bfloat16 each number of x is rounded to
// bfloat16 first, as the inputs of its layers are in training. A row's result has the same bits whichever rows are computed
// beside it and however the outputs are divided among threads; except int8 and NF4 on AMX, which take more than a few
// rows in another way.

#include <cstddef>
#include <cstdint>

#include "models/base/numbers.h"
#include "models/engine/cpu/matrix.h"

namespace lora::kernels {

// A weight's encoding in memory. Nf4 and int8 are those of quantized.h.
enum class RowEncoding : uint8_t { kFloat, kBf16, kInt8, kNf4 };

// A weight (out, in), row by row.
struct RowWeight {
  RowEncoding encoding = RowEncoding::kFloat;
  const void* values = nullptr;   // out · in values or codes, contiguous
  const float* scales = nullptr;  // int8: (out), what a code is multiplied by; nf4: (out, in / 64)
  size_t out = 0, in = 0;         // nf4: `in` is a multiple of 64
  bool half = false;  // of a model of bfloat16: x counts in bfloat16, and so does an NF4 level times its scale
};

// How x is laid out for a product: as it is; for encodings that hold two neighbours in a word, the even columns of a
// block before its odd ones; the same two rounded to bfloat16; as bfloat16, two in a float's place, in order or the even
// columns of each 64 before the odd ones; or both of these as tiles of AMX (row_tiles-inl.h).
enum class RowOrder : uint8_t {
  kPlain,
  kPairs,
  kRounded,
  kRoundedPairs,
  kHalves,
  kHalvesOfPairs,
  kTiles,
  kTilesOfPairs
};
constexpr size_t kRowOrders = 8;
constexpr bool is_tiles(RowOrder order) { return order == RowOrder::kTiles || order == RowOrder::kTilesOfPairs; }
constexpr bool is_halves(RowOrder order) { return order == RowOrder::kHalves || order == RowOrder::kHalvesOfPairs; }

// x (rows, columns), laid out.
struct LaidRows {
  RowOrder order = RowOrder::kPlain;
  const float* data = nullptr;  // tiles are aligned to 64 bytes, or products take twice as long
  size_t columns = 0;
};
// From one row to the next; of tiles, a row's share of its 16.
constexpr size_t laid_row(RowOrder order, size_t columns) {
  return is_halves(order) || is_tiles(order) ? ceil_div<size_t>(columns, 2) : columns;
}
constexpr size_t laid_floats(RowOrder order, size_t rows, size_t columns) {
  return (is_tiles(order) ? round_up<size_t>(rows, 16) : rows) * laid_row(order, columns);
}

// Columns of up that lie together, so that a processor reads them one after another.
constexpr size_t kUpPanel = 16;

// What is added to products: y = gain ⊙ (y + low · up) + bias. Each part may be missing.
struct RowFinish {
  const void* up = nullptr;  // [panel of 16 columns][rank][16], zeros behind the last; float32 or with `half` bfloat16
  bool half = false;
  size_t rank = 0;
  Matrix<const float> low = {};                  // (rows, rank)
  const float *gain = nullptr, *bias = nullptr;  // (out)

  bool does_something() const { return rank > 0 || gain || bias; }
};

struct RowProductKernels {
  // How products of that weight with so many rows read x, on this processor.
  RowOrder (*order)(const RowWeight& weight, size_t rows);
  // Lays x (rows, in) out: `to` has laid_floats.
  void (*lay)(RowOrder order, Matrix<const float> x, float* to);
  // y (rows, out)[first, first + count) = rows of x from first_row on, laid out for the weight, times Wᵀ. Outputs of a
  // call are best a multiple of 32.
  void (*run)(const RowWeight& weight, const LaidRows& x, size_t first_row, size_t first, size_t count,
              Matrix<float> y);
  // The same columns of y (rows, out); `first` is a multiple of kUpPanel.
  void (*finish)(const RowFinish& finish, size_t first, size_t count, Matrix<float> y);
};

}  // namespace lora::kernels
