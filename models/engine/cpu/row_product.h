#pragma once
// y = x · Wᵀ for few rows: the products of decoding, where a weight is read from memory for a handful of tokens. Each
// weight is read once, in the encoding it is stored in, at the memory's speed.
//
// x and y are float32 whatever the weight is, and sums are float32. A row's result has the same bits whichever rows are
// computed beside it and however the outputs are divided among threads.

#include <cstddef>
#include <cstdint>

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
};

// How x is laid out for a product: as it is, or for encodings that hold two neighbours in a word, the even columns of a
// block before its odd ones.
enum class RowOrder : uint8_t { kPlain, kPairs };
constexpr RowOrder row_order(RowEncoding encoding) {
  return encoding == RowEncoding::kBf16 || encoding == RowEncoding::kNf4 ? RowOrder::kPairs : RowOrder::kPlain;
}

// What is added to products: y = gain ⊙ (y + low · up) + bias. Each part may be missing.
struct RowFinish {
  const void* up = nullptr;  // (rank, out), float32 or with `half` bfloat16
  bool half = false;
  size_t rank = 0, out = 0;
  Matrix<const float> low = {};                  // (rows, rank)
  const float *gain = nullptr, *bias = nullptr;  // (out)

  bool does_something() const { return rank > 0 || gain || bias; }
};

struct RowProductKernels {
  // Lays x (rows, in) out for weights of that order: `to` has x's shape. kPlain is a copy.
  void (*lay)(RowOrder order, Matrix<const float> x, Matrix<float> to);
  // y (rows, out)[first, first + count) = x · Wᵀ, with x laid out for the weight's order. Outputs of a call are best a
  // multiple of 4.
  void (*run)(const RowWeight& weight, Matrix<const float> x, size_t first, size_t count, Matrix<float> y);
  // The same columns of y (rows, out).
  void (*finish)(const RowFinish& finish, size_t first, size_t count, Matrix<float> y);
};

}  // namespace lora::kernels
