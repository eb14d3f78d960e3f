#include "lora/adapters/initialise.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "models/base/error.h"

namespace lora {
namespace {

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

// The row's name up to the number, where it has one.
std::string stem(const InitialPairRow& row) {
  return row.name.ends_with("_N") ? row.name.substr(0, row.name.size() - 1) : "";
}

const InitialPairRow* pair_row(const std::string& init) {
  for (const InitialPairRow& row : initial_pairs()) {
    if (init == row.name || (!stem(row).empty() && init.starts_with(stem(row)))) return &row;
  }
  return nullptr;
}

}  // namespace

const std::vector<InitialPairRow>& initial_pairs() {
  static const std::vector<InitialPairRow> table = {
      {.name = "kaiming",
       .elsewhere = {"true"},
       .fill_a =
           [](at::Tensor& a, at::Generator& generator) {
             const double bound = 1.0 / std::sqrt(static_cast<double>(a.size(1)));
             a.uniform_(-bound, bound, generator);
           }},
      {.name = "gaussian",
       .elsewhere = {"normal"},
       .in_files = true,
       .fill_a = [](at::Tensor& a,
                    at::Generator& generator) { a.normal_(0.0, 1.0 / static_cast<double>(a.size(0)), generator); }},
      {.name = "pissa",
       .starts_from_base = true,
       .in_files = true,
       .from_base = [](const at::Tensor& w, int64_t rank, double scaling, int64_t,
                       at::Generator&) { return pissa(largest_singular_values(w, rank), scaling); }},
      {.name = "pissa_niter_N",  // a file would have PEFT's random numbers in it
       .starts_from_base = true,
       .from_base =
           [](const at::Tensor& w, int64_t rank, double scaling, int64_t iterations, at::Generator& generator) {
             return pissa(randomised_svd(w, rank, iterations, generator), scaling);
           }},
      {.name = "olora",
       .starts_from_base = true,
       .in_files = true,
       .from_base = [](const at::Tensor& w, int64_t rank, double, int64_t, at::Generator&) { return olora(w, rank); }},
  };
  return table;
}

const Names& init_names() {
  static const Names names = with_rows({}, initial_pairs());
  return names;
}

bool starts_from_base(const std::string& init) {
  const InitialPairRow* row = pair_row(init);
  return row && row->starts_from_base;
}

bool starts_from_base(const AdapterConfig& config) { return starts_from_base(config.init); }

InitialPair initial_pair(const Linear& base, const LayerOptions& options) {
  const at::NoGradGuard no_grad;
  const InitialPairRow* row = pair_row(options.config.init);
  if (!row) throw AdapterError("init '" + options.config.init + "' is not available");
  const int64_t out = base.out_features(), in = base.in_features(), rank = options.rank;
  const at::Device device = base.weight_handle().device();
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  if (row->starts_from_base && options.fresh) {
    const std::string number = stem(*row).empty() ? "0" : options.config.init.substr(stem(*row).size());
    return row->from_base(base.weight_matrix().to(at::kFloat), rank, lora_scaling(options.config, rank, options.alpha),
                          std::stoll(number), generator);
  }
  at::Tensor a = at::zeros({rank, in}, at::kFloat);
  if (row->fill_a) row->fill_a(a, generator);
  return {a.to(device), at::zeros({out, rank}, at::TensorOptions(at::kFloat).device(device))};
}

}  // namespace lora
