#include <ATen/ATen.h>

#include <limits>

#include "models/engine/aten/operations.h"
#include "models/engine/soft_cap.h"

namespace lora::aten {
namespace {

// `count` heads of a sample's rows (T, …) that begin at head `first`, grouped by key heads: (kv_heads, T, …) wide, with
// the query heads of a group one after another: (kv_heads, count / kv_heads, T, dim).
at::Tensor heads_of(const at::Tensor& rows, int64_t first, int64_t count, const HeadLayout& layout) {
  return rows.narrow(1, first * layout.dim, count * layout.dim)
      .view({rows.size(0), layout.kv_heads, count / layout.kv_heads, layout.dim})
      .permute({1, 2, 0, 3})
      .to(wide_dtype(rows.scalar_type()));
}

// The way back: (kv_heads, g, T, dim) -> (T, kv_heads·g·dim).
at::Tensor rows_of(const at::Tensor& heads) { return heads.permute({2, 0, 1, 3}).reshape({heads.size(2), -1}); }

// A sample's queries, keys and values, and the scores of each query and key, wide.
struct Sample {
  at::Tensor q, k, v;     // (kv_heads, heads / kv_heads or 1, T, dim)
  at::Tensor scores;      // (kv_heads, heads / kv_heads, T, T): −infinity where a key is not seen
  at::Tensor derivative;  // of the soft cap, shaped alike; undefined where there is none

  Sample(const at::Tensor& rows, const HeadLayout& layout, const AttentionScores& how)
      : q(heads_of(rows, 0, layout.heads, layout)),
        k(heads_of(rows, layout.heads, layout.kv_heads, layout)),
        v(heads_of(rows, layout.heads + layout.kv_heads, layout.kv_heads, layout)),
        scores(at::matmul(q, k.transpose(2, 3)) * how.scale) {
    if (how.softcap != 0) {
      scores = soft_cap(scores, how.softcap);
      derivative = 1 - (scores / how.softcap).square();
    }
    const int64_t tokens = rows.size(0);
    at::Tensor seen = at::ones({tokens, tokens}, scores.options().dtype(at::kBool)).tril_();
    if (how.window != 0) seen.triu_(1 - how.window);
    scores = scores.masked_fill(seen.bitwise_not(), -std::numeric_limits<double>::infinity());
  }
};

// Calls f(first row, rows) for each sample.
template <class F>
void for_samples(const std::vector<int64_t>& lengths, F f) {
  int64_t begin = 0;
  for (const int64_t length : lengths) {
    f(begin, length);
    begin += length;
  }
}

}  // namespace

AttentionResult packed_attention(const at::Tensor& qkv, const std::vector<int64_t>& lengths, const HeadLayout& layout,
                                 const AttentionScores& scores) {
  std::vector<at::Tensor> out, log_sum;
  for_samples(lengths, [&](int64_t begin, int64_t length) {
    const Sample s(qkv.narrow(0, begin, length), layout, scores);
    const at::Tensor largest = s.scores.amax(-1, /*keepdim=*/true), e = (s.scores - largest).exp();
    const at::Tensor sum = e.sum(-1, /*keepdim=*/true);
    out.push_back(rows_of(at::matmul(e / sum, s.v)).to(qkv.scalar_type()));
    log_sum.push_back((largest + sum.log()).view({layout.heads, length}));
  });
  return {at::cat(out), at::cat(log_sum, 1)};
}

// With P = softmax(S), O = P V: dV = Pᵀ dO and dS = P ⊙ (dO Vᵀ − rowsum(dO ⊙ O)).
at::Tensor packed_attention_backward(const at::Tensor& qkv, const std::vector<int64_t>& lengths,
                                     const HeadLayout& layout, const AttentionScores& scores,
                                     const AttentionResult& result, const at::Tensor& dout) {
  std::vector<at::Tensor> dqkv;
  for_samples(lengths, [&](int64_t begin, int64_t length) {
    const Sample s(qkv.narrow(0, begin, length), layout, scores);
    const at::Tensor out = heads_of(result.out.narrow(0, begin, length), 0, layout.heads, layout);
    const at::Tensor d = heads_of(dout.narrow(0, begin, length), 0, layout.heads, layout);
    const at::Tensor log_sum = result.log_sum.narrow(1, begin, length).reshape({layout.kv_heads, -1, length, 1});
    const at::Tensor p = (s.scores - log_sum).exp();
    at::Tensor ds = p * (at::matmul(d, s.v.transpose(2, 3)) - (d * out).sum(-1, /*keepdim=*/true)) * scores.scale;
    if (s.derivative.defined()) ds = ds * s.derivative;
    const at::Tensor dq = at::matmul(ds, s.k);
    const at::Tensor dk = at::matmul(ds.transpose(2, 3), s.q).sum(1, /*keepdim=*/true);
    const at::Tensor dv = at::matmul(p.transpose(2, 3), d).sum(1, /*keepdim=*/true);
    dqkv.push_back(at::cat({rows_of(dq), rows_of(dk), rows_of(dv)}, 1).to(qkv.scalar_type()));
  });
  return at::cat(dqkv);
}

}  // namespace lora::aten
