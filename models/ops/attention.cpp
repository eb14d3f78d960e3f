#include "models/ops/attention.h"

#include <ATen/ATen.h>

namespace lora {
namespace {

// (T, kv_heads, D) -> (1, heads, T, D): each key head serves heads / kv_heads query heads.
at::Tensor spread_heads(const at::Tensor& x, int64_t heads) {
  const int64_t groups = heads / x.size(1);
  const at::Tensor spread = groups == 1 ? x : x.repeat_interleave(groups, /*dim=*/1);
  return spread.transpose(0, 1).unsqueeze(0);
}

}  // namespace

at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const int64_t heads = q.size(1), queries = q.size(0), keys = k.size(0);
  const bool square = queries == keys;
  std::optional<at::Tensor> mask;
  if (!square && queries > 1) {
    mask = at::ones({queries, keys}, q.options().dtype(at::kBool)).tril(keys - queries);
  }
  const at::Tensor out =
      at::scaled_dot_product_attention(q.transpose(0, 1).unsqueeze(0), spread_heads(k, heads), spread_heads(v, heads),
                                       mask, /*dropout_p=*/0.0, /*is_causal=*/square);
  return out.squeeze(0).transpose(0, 1);
}

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const std::vector<int64_t>& lengths) {
  if (lengths.size() == 1) return cached_attention(q, k, v);
  const auto qs = q.split_with_sizes(lengths), ks = k.split_with_sizes(lengths), vs = v.split_with_sizes(lengths);
  std::vector<at::Tensor> outputs;
  outputs.reserve(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) outputs.push_back(cached_attention(qs[i], ks[i], vs[i]));
  return at::cat(outputs);
}

}  // namespace lora
