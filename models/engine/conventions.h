#pragma once
// Conventions that every table of operations (operations.h) keeps, so that the results of one may be used with another.

#include <cstdint>

#include "models/base/numbers.h"

namespace lora {

// Low-rank activations (N, r) have whole blocks of 16 columns for each adapter; the columns past its rank are zero.
template <class Integer>
constexpr Integer padded_rank(Integer rank) {
  return round_up<Integer>(rank, 16);
}

// The probability p in units of 2⁻³¹. Dropout scrambles (key, index of the element) to 32 bits, and drops the element
// where the upper 31 of them are below this.
constexpr uint32_t dropout_threshold(float p) { return static_cast<uint32_t>(static_cast<double>(p) * 2147483648.0); }

}  // namespace lora
