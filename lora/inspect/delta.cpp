#include "lora/inspect/delta.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace lora {
namespace {

// R of X = Q·R, shape (min(n, r), r). R has the singular values of X.
at::Tensor reduced(const at::Tensor& x) { return std::get<1>(at::linalg_qr(x, "r")); }

}  // namespace

DeltaStats delta_stats(const at::Tensor& a, const at::Tensor& b, double scaling) {
  const at::NoGradGuard no_grad;
  DeltaStats stats;
  if (a.numel() == 0 || b.numel() == 0) return stats;
  const at::Tensor ra = reduced(a.to(at::kDouble).t()), rb = reduced(b.to(at::kDouble));
  const at::Tensor sigma = (at::linalg_svdvals(rb.mm(ra.t())) * std::abs(scaling)).contiguous();
  const double* values = sigma.const_data_ptr<double>();
  const auto count = static_cast<size_t>(sigma.numel());
  double sum = 0, squares = 0;
  for (size_t i = 0; i < count; ++i) {
    sum += values[i];
    squares += values[i] * values[i];
  }
  if (!(sum > 0)) return stats;
  stats.norm = std::sqrt(squares);
  stats.largest = values[0];
  double entropy = 0, reached = 0;
  for (size_t i = 0; i < count; ++i) {
    const double share = values[i] / sum;
    if (share > 0) entropy -= share * std::log(share);
    if (reached < 0.99 * squares) ++stats.rank_99;
    reached += values[i] * values[i];
  }
  stats.effective_rank = std::exp(entropy);
  return stats;
}

ValueStats value_stats(const at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  ValueStats stats;
  if (!tensor.is_floating_point()) return stats;
  constexpr int64_t kBlock = 1 << 20;
  const at::Tensor flat = tensor.reshape({-1});
  double squares = 0;
  for (int64_t begin = 0; begin < flat.numel(); begin += kBlock) {
    at::Tensor block = flat.narrow(0, begin, std::min(kBlock, flat.numel() - begin)).to(at::kFloat);
    double sum = block.square().sum(at::kDouble).item<double>();
    if (!std::isfinite(sum)) {  // rare: count the non-finite values and use the others
      stats.nans += block.isnan().sum().item<int64_t>();
      stats.infinities += block.isinf().sum().item<int64_t>();
      block = at::nan_to_num(block, 0.0, 0.0, 0.0).to(at::kDouble);
      sum = block.square().sum().item<double>();
    }
    squares += sum;
    stats.largest = std::max(stats.largest, block.abs().max().item<double>());
  }
  stats.norm = std::sqrt(squares);
  return stats;
}

}  // namespace lora
