#pragma once
// Statistics of a low-rank update from its singular values, without building the matrix.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace lora {

struct DeltaStats {
  double norm = 0;            // ‖ΔW‖, Frobenius
  double largest = 0;         // the largest singular value
  double effective_rank = 0;  // exp of the entropy of σ / Σσ (Roy & Vetterli 2007); 0 if ΔW is zero
  int64_t rank_99 = 0;        // the number of largest σ² that make up 99 % of their sum
};

// The statistics of ΔW = scaling · B·A with A (r, in) and B (out, r). QR reduces both factors to r × r first, so the
// cost is O((in + out) r²) and no matrix of ΔW's size exists. The caller must check that all values are finite.
DeltaStats delta_stats(const at::Tensor& a, const at::Tensor& b, double scaling);

// What is wrong with a tensor's values: NaN, infinities, all zero. Computed in one pass over blocks.
struct ValueStats {
  int64_t nans = 0, infinities = 0;
  double largest = 0;  // |x|, of the finite values
  double norm = 0;     // Frobenius, of the finite values
  bool all_zero() const { return nans == 0 && infinities == 0 && largest == 0; }
};
ValueStats value_stats(const at::Tensor& tensor);

}  // namespace lora
