#include "models/network/new_rows.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

namespace lora {

NewRows drawn_rows(int64_t rows, NewRowsInit init, uint64_t seed) {
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  const auto make = [=](const std::string&, const at::Tensor& stored, int64_t count) {
    const at::NoGradGuard no_grad;
    const at::Tensor w = stored.to(at::kFloat);
    const at::Tensor mean = w.mean(0), same = mean.unsqueeze(0).repeat({count, 1});
    if (init == NewRowsInit::kMean) return same;
    const at::Tensor centered = w - mean;
    const at::Tensor covariance = 1e-9 * (at::mm(centered.t(), centered) / w.size(0));
    const auto [factor, failed] = at::linalg_cholesky_ex(covariance);
    if (failed.item<int64_t>() != 0) return same;
    const at::Tensor normal = at::empty({count, w.size(1)}, at::kFloat).normal_(0, 1, generator);
    return mean + at::mm(normal, factor.t());
  };
  return {rows, make};
}

}  // namespace lora
