#pragma once
// The update of a low-rank pair by its singular values, which are had without the matrix itself.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace lora {

struct DeltaStats {
  double norm = 0;            // ‖ΔW‖, Frobenius
  double largest = 0;         // its largest singular value
  double effective_rank = 0;  // exp of the entropy of σ / Σσ (Roy & Vetterli 2007); 0 where ΔW is zero
  int64_t rank_99 = 0;        // how many of the largest σ² make up 99 % of their sum
};

// Of ΔW = scaling · B·A with A (r, in), B (out, r). Both are reduced by QR to r × r first: O((in + out) r²), nothing of
// ΔW's size. Values that are not finite are the caller's to find before.
DeltaStats delta_stats(const at::Tensor& a, const at::Tensor& b, double scaling);

// What is wrong with a tensor's values: NaN, infinities, all zero. One pass in blocks.
struct ValueStats {
  int64_t nans = 0, infinities = 0;
  double largest = 0;  // |x|, of the finite ones
  double norm = 0;     // Frobenius, of the finite ones
  bool all_zero() const { return nans == 0 && infinities == 0 && largest == 0; }
};
ValueStats value_stats(const at::Tensor& tensor);

}  // namespace lora
