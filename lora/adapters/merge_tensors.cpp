#include "lora/adapters/merge_tensors.h"

#include <ATen/ATen.h>

namespace lora {
namespace {

at::Tensor keep_largest(const at::Tensor& t, double density) {
  const auto count = static_cast<int64_t>(density * static_cast<double>(t.numel()));
  const auto [values, indices] = t.abs().reshape(-1).topk(count);
  const at::Tensor mask = at::zeros({t.numel()}, t.options()).index_fill_(0, indices, 1);
  return t * mask.view(t.sizes());
}

at::Tensor keep_random(const at::Tensor& t, double density, at::Generator& generator) {
  return t * at::bernoulli(at::full_like(t, density), generator) / density;
}

// (n, …): where a tensor has the elected sign.
at::Tensor elected(const at::Tensor& stacked, MajoritySign majority) {
  const at::Tensor sign = stacked.sign();
  const at::Tensor votes = (majority == MajoritySign::kFrequency ? sign : stacked).sum(0);
  return sign == at::where(votes >= 0, at::ones_like(votes), -at::ones_like(votes));
}

}  // namespace

at::Tensor merge_tensors(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                         const MergeRule& rule, at::Generator& generator) {
  std::vector<at::Tensor> kept;
  for (const at::Tensor& t : tensors) {
    const bool whole = rule.prune == Prune::kNone || rule.density >= 1;
    kept.push_back(whole                          ? t
                   : rule.prune == Prune::kRandom ? keep_random(t, rule.density, generator)
                                                  : keep_largest(t, rule.density));
  }
  const at::Tensor stacked = at::stack(kept);
  std::vector<int64_t> shape(static_cast<size_t>(stacked.dim()), 1);
  shape[0] = -1;
  const at::Tensor weighted = stacked * at::tensor(weights, at::kDouble).to(stacked.scalar_type()).view(shape);
  if (!rule.elects) return weighted.sum(0);
  const at::Tensor mask = elected(stacked, rule.majority_sign);
  return (weighted * mask).sum(0) / mask.sum(0).clamp_min(1);
}

}  // namespace lora
