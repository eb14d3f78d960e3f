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

// A sequence's queries, keys and values, and the scores of each query and key, wide. The first `known` tokens have no
// query.
struct Sample {
  at::Tensor q, k, v;     // (kv_heads, heads / kv_heads, T − known, dim); (kv_heads, 1, T, dim)
  at::Tensor scores;      // (kv_heads, heads / kv_heads, T − known, T): −infinity where a key is not seen
  at::Tensor derivative;  // of the soft cap, shaped alike; undefined where there is none

  Sample(const at::Tensor& rows, int64_t known, const HeadLayout& layout, const AttentionScores& how)
      : q(heads_of(rows.slice(0, known), 0, layout.heads, layout)),
        k(heads_of(rows, layout.heads, layout.kv_heads, layout)),
        v(heads_of(rows, layout.heads + layout.kv_heads, layout.kv_heads, layout)),
        scores(at::matmul(q, k.transpose(2, 3)) * how.scale) {
    if (how.softcap != 0) {
      scores = soft_cap(scores, how.softcap);
      derivative = 1 - (scores / how.softcap).square();
    }
    const int64_t tokens = rows.size(0);
    at::Tensor seen = at::ones({tokens - known, tokens}, scores.options().dtype(at::kBool)).tril_(known);
    if (how.window != 0) seen.triu_(known + 1 - how.window);
    scores = scores.masked_fill(seen.bitwise_not(), -std::numeric_limits<double>::infinity());
  }
};

// Calls f(first row, rows, rows without a query) for each sequence.
template <class F>
void for_sequences(const Sequences& sequences, F f) {
  int64_t begin = 0;
  for (size_t i = 0; i < sequences.lengths.size(); ++i) {
    f(begin, sequences.lengths[i], sequences.known_of(i));
    begin += sequences.lengths[i];
  }
}

}  // namespace

AttentionResult plain_attention(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                const AttentionScores& scores) {
  AttentionResult result{at::empty({qkv.size(0), layout.heads * layout.dim}, qkv.options()),
                         at::empty({layout.heads, qkv.size(0)}, qkv.options().dtype(wide_dtype(qkv.scalar_type())))};
  for_sequences(sequences, [&](int64_t begin, int64_t length, int64_t known) {
    const Sample s(qkv.narrow(0, begin, length), known, layout, scores);
    const at::Tensor largest = s.scores.amax(-1, /*keepdim=*/true), e = (s.scores - largest).exp();
    const at::Tensor sum = e.sum(-1, /*keepdim=*/true);
    const int64_t first = begin + known, count = length - known;
    result.out.narrow(0, first, count).copy_(rows_of(at::matmul(e / sum, s.v)));
    result.log_sum.narrow(1, first, count).copy_((largest + sum.log()).view({layout.heads, count}));
  });
  return result;
}

// With P = softmax(S), O = P V: dV = Pᵀ dO and dS = P ⊙ (dO Vᵀ − rowsum(dO ⊙ O)).
at::Tensor plain_attention_backward(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                    const AttentionScores& scores, const AttentionResult& result,
                                    const at::Tensor& dout) {
  at::Tensor dqkv = at::empty_like(qkv);
  const int64_t queries = layout.heads * layout.dim;
  for_sequences(sequences, [&](int64_t begin, int64_t length, int64_t known) {
    const Sample s(qkv.narrow(0, begin, length), known, layout, scores);
    const int64_t first = begin + known, count = length - known;
    const at::Tensor out = heads_of(result.out.narrow(0, first, count), 0, layout.heads, layout);
    const at::Tensor d = heads_of(dout.narrow(0, first, count), 0, layout.heads, layout);
    const at::Tensor log_sum = result.log_sum.narrow(1, first, count).reshape({layout.kv_heads, -1, count, 1});
    const at::Tensor p = (s.scores - log_sum).exp();
    at::Tensor ds = p * (at::matmul(d, s.v.transpose(2, 3)) - (d * out).sum(-1, /*keepdim=*/true)) * scores.scale;
    if (s.derivative.defined()) ds = ds * s.derivative;
    const at::Tensor dk = at::matmul(ds.transpose(2, 3), s.q).sum(1, /*keepdim=*/true);
    const at::Tensor dv = at::matmul(p.transpose(2, 3), d).sum(1, /*keepdim=*/true);
    dqkv.narrow(0, first, count).narrow(1, 0, queries).copy_(rows_of(at::matmul(ds, s.k)));
    dqkv.narrow(0, begin, length).slice(1, queries).copy_(at::cat({rows_of(dk), rows_of(dv)}, 1));
  });
  return dqkv;
}

}  // namespace lora::aten
