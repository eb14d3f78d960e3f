#include "lora/adapters/initialise.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "models/base/error.h"

namespace lora {
namespace {

constexpr const char* kFastPissa = "pissa_niter_";

struct Svd {
  at::Tensor U, S, Vh;  // (out, r), (r), (r, in)
};

at::Tensor orthonormal(const at::Tensor& columns) { return std::get<0>(at::linalg_qr(columns, "reduced")); }

Svd largest_singular_values(const at::Tensor& w, int64_t rank) {
  const auto [u, s, vh] = at::linalg_svd(w, /*full_matrices=*/false);
  return {u.narrow(1, 0, rank), s.narrow(0, 0, rank), vh.narrow(0, 0, rank)};
}

Svd randomised_svd(const at::Tensor& w, int64_t rank, int64_t iterations, at::Generator& generator) {
  const at::Tensor probes = at::empty({w.size(1), rank}, at::kFloat).normal_(0.0, 1.0, generator).to(w.device());
  at::Tensor range = orthonormal(w.mm(probes));
  for (int64_t i = 0; i < iterations; ++i) range = orthonormal(w.mm(orthonormal(w.t().mm(range))));
  const auto [u, s, vh] = at::linalg_svd(range.t().mm(w), /*full_matrices=*/false);
  return {range.mm(u), s, vh};
}

InitialPair pissa(const Svd& svd, double scaling) {
  const at::Tensor root = (svd.S / scaling).sqrt();
  return {(root.unsqueeze(1) * svd.Vh).contiguous(), (svd.U * root).contiguous()};
}

// The first r columns of Q follow from those of W alone, and the first r rows of R are then Qᵀ·W.
InitialPair olora(const at::Tensor& w, int64_t rank) {
  const at::Tensor q = orthonormal(w.narrow(1, 0, rank));
  return {q.t().mm(w), q.contiguous()};
}

}  // namespace

const Names& init_names() {
  static const Names names = {{"kaiming", "gaussian", "pissa", "pissa_niter_N", "olora"},
                              {{"true", "kaiming"}, {"normal", "gaussian"}}};
  return names;
}

InitialPair initial_pair(const Linear& base, const MethodOptions& options) {
  const at::NoGradGuard no_grad;
  const std::string& init = options.config.init;
  const int64_t out = base.out_features(), in = base.in_features(), rank = options.rank;
  const at::Device device = base.weight_handle().device();
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  if (starts_from_base(options.config) && options.fresh) {
    const at::Tensor w = base.weight_matrix().to(at::kFloat);
    const double scaling = lora_scaling(options.config, rank, options.alpha);
    if (init == "olora") return olora(w, rank);
    if (init == "pissa") return pissa(largest_singular_values(w, rank), scaling);
    return pissa(randomised_svd(w, rank, std::stoll(init.substr(std::string(kFastPissa).size())), generator), scaling);
  }
  at::Tensor a = at::zeros({rank, in}, at::kFloat);
  if (init == "gaussian") {
    a.normal_(0.0, 1.0 / static_cast<double>(rank), generator);
  } else if (init == "kaiming") {
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    a.uniform_(-bound, bound, generator);
  } else if (!starts_from_base(options.config)) {
    throw AdapterError("init '" + init + "' is not available");
  }
  return {a.to(device), at::zeros({out, rank}, at::TensorOptions(at::kFloat).device(device))};
}

}  // namespace lora
