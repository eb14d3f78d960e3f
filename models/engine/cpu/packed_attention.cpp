// Divides attention among threads, by sample and head.

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/base/numbers.h"
#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"
#include "models/engine/cpu/operations.h"

namespace lora::cpu {
namespace {

using kernels::AttentionHead;
using kernels::AttentionPanels;

at::Tensor floats(int64_t n) { return at::empty({n}, at::kFloat); }

// Where everything of one call lies.
template <class T>
struct Call {
  Call(const at::Tensor& qkv, const Sequences& of_sequences, const HeadLayout& head_layout,
       const AttentionScores& attention_scores, int64_t panels_each)
      : sequences(of_sequences),
        lengths(sequences.lengths),
        layout(head_layout),
        scores(attention_scores),
        n(qkv.size(0)),
        begins(lengths.size()),
        order(lengths.size()) {
    std::exclusive_scan(lengths.begin(), lengths.end(), begins.begin(), int64_t{0});
    std::iota(order.begin(), order.end(), int64_t{0});
    std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return length(a) > length(b); });
    // A sample's panels begin at panel_begin times the number of panels and key heads.
    panel_begins.resize(lengths.size());
    int64_t total = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      panel_begins[i] = total;
      total += panel_floats(static_cast<int64_t>(i));
    }
    panels = floats(total * panels_each * layout.kv_heads);
    scratch_each =
        static_cast<int64_t>(kernels::attention_scratch_floats(as_size(length(order[0])), as_size(layout.dim)));
    scratch = floats(scratch_each * at::get_num_threads());
    per_sample = panels_each;
  }

  int64_t length(int64_t sample) const { return lengths[as_size(sample)]; }
  int64_t begin(int64_t sample) const { return begins[as_size(sample)]; }
  int64_t panel_floats(int64_t sample) const {
    return static_cast<int64_t>(kernels::attention_panel_floats(as_size(length(sample)), as_size(layout.dim)));
  }
  float* panel(int64_t sample, int64_t kv_head, int64_t which) const {
    const int64_t each = panel_floats(sample);
    return panels.data_ptr<float>() + panel_begins[as_size(sample)] * per_sample * layout.kv_heads +
           (kv_head * per_sample + which) * each;
  }
  int64_t pieces(int64_t heads) const { return static_cast<int64_t>(lengths.size()) * heads; }

  // The rows of a sample in columns [head · dim, (head + 1) · dim) of t (N, heads · dim).
  template <class Element>
  kernels::Matrix<Element> rows(const at::Tensor& t, int64_t sample, int64_t head) const {
    return kernels::view<Element>(t)
        .row_range(as_size(begin(sample)), as_size(length(sample)))
        .column_range(as_size(head * layout.dim), as_size(layout.dim));
  }

  AttentionHead<T> head(const at::Tensor& qkv, int64_t sample, int64_t query_head, int64_t thread) const {
    const int64_t kv = query_head / (layout.heads / layout.kv_heads);
    AttentionHead<T> h{};
    h.q = rows<const T>(qkv, sample, query_head);
    h.k = rows<const T>(qkv, sample, layout.heads + kv);
    h.v = rows<const T>(qkv, sample, layout.heads + layout.kv_heads + kv);
    h.scale = static_cast<float>(scores.scale);
    h.softcap = static_cast<float>(scores.softcap);
    h.window = as_size(scores.window);
    h.known = as_size(sequences.known_of(as_size(sample)));
    h.scratch = scratch.data_ptr<float>() + thread * scratch_each;
    return h;
  }

  const Sequences& sequences;
  const std::vector<int64_t>& lengths;
  const HeadLayout& layout;
  const AttentionScores& scores;
  int64_t n, per_sample = 0, scratch_each = 0;
  std::vector<int64_t> begins, order, panel_begins;
  at::Tensor panels, scratch;
};

template <class T>
void forward(const kernels::Kernels<T>& k, const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
             const AttentionScores& scores, const AttentionResult& result) {
  const Call<T> call(qkv, sequences, layout, scores, 2);
  const int64_t group = layout.heads / layout.kv_heads;
  const auto panels = [&](int64_t sample, int64_t kv) {
    return AttentionPanels{call.panel(sample, kv, 0), call.panel(sample, kv, 1), nullptr, nullptr};
  };
  share_out(call.pieces(layout.kv_heads), [&](int64_t piece, int64_t thread) {
    const int64_t sample = call.order[as_size(piece / layout.kv_heads)], kv = piece % layout.kv_heads;
    k.attention.pack(call.head(qkv, sample, kv * group, thread), panels(sample, kv), /*backward=*/false);
  });
  share_out(call.pieces(layout.heads), [&](int64_t piece, int64_t thread) {
    const int64_t sample = call.order[as_size(piece / layout.heads)], h = piece % layout.heads;
    AttentionHead<T> head = call.head(qkv, sample, h, thread);
    head.out = call.template rows<T>(result.out, sample, h);
    head.log_sum = result.log_sum.data_ptr<float>() + h * call.n + call.begin(sample);
    k.attention.forward(head, panels(sample, h / group));
  });
}

template <class T>
void backward(const kernels::Kernels<T>& k, const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
              const AttentionScores& scores, const AttentionResult& result, const at::Tensor& dout,
              const at::Tensor& dqkv) {
  const Call<T> call(qkv, sequences, layout, scores, 3);
  const int64_t group = layout.heads / layout.kv_heads;
  const auto padded = static_cast<int64_t>(kernels::attention_padded(as_size(layout.dim)));
  // The query heads of a group, `each` at a time, sum the gradients of their keys and values one after another, and
  // such sums are added in order afterwards: one sum a group where there are pieces enough without it.
  const int64_t each = call.pieces(layout.kv_heads) >= 4 * at::get_num_threads() ? group : 1, parts = group / each;
  const at::Tensor dkv = floats(2 * layout.kv_heads * parts * call.n * padded);
  const auto sums = [&](int64_t part, int64_t which, int64_t token) {
    return dkv.data_ptr<float>() + ((part * 2 + which) * call.n + token) * padded;
  };
  const auto panels = [&](int64_t sample, int64_t kv) {
    return AttentionPanels{call.panel(sample, kv, 0), nullptr, call.panel(sample, kv, 1), call.panel(sample, kv, 2)};
  };
  share_out(call.pieces(layout.kv_heads), [&](int64_t piece, int64_t thread) {
    const int64_t sample = call.order[as_size(piece / layout.kv_heads)], kv = piece % layout.kv_heads;
    k.attention.pack(call.head(qkv, sample, kv * group, thread), panels(sample, kv), /*backward=*/true);
  });
  const int64_t all_parts = layout.kv_heads * parts;
  share_out(call.pieces(all_parts), [&](int64_t piece, int64_t thread) {
    const int64_t sample = call.order[as_size(piece / all_parts)], part = piece % all_parts;
    const int64_t begin = call.begin(sample);
    for (int64_t h = part * each; h < (part + 1) * each; ++h) {
      AttentionHead<T> head = call.head(qkv, sample, h, thread);
      head.out = call.template rows<T>(result.out, sample, h);
      head.log_sum = result.log_sum.data_ptr<float>() + h * call.n + begin;
      head.dout = call.template rows<const T>(dout, sample, h);
      head.dq = call.template rows<T>(dqkv, sample, h);
      head.dk = sums(part, 0, begin);
      head.dv = sums(part, 1, begin);
      head.adds = h > part * each;
      k.attention.backward(head, panels(sample, h / group));
    }
  });
  parallel_for(call.n, 16, [&](int64_t first, int64_t last) {
    for (int64_t token = first; token < last; ++token) {
      for (int64_t kv = 0; kv < layout.kv_heads; ++kv) {
        for (int64_t which = 0; which < 2; ++which) {
          float* sum = sums(kv * parts, which, token);
          for (int64_t part = kv * parts + 1; part < (kv + 1) * parts; ++part) {
            const float* more = sums(part, which, token);
            for (int64_t i = 0; i < layout.dim; ++i) sum[i] += more[i];
          }
          const int64_t column = (layout.heads + which * layout.kv_heads + kv) * layout.dim;
          k.elementwise.store(sum, kernels::data<T>(dqkv) + token * layout.width() + column, as_size(layout.dim));
        }
      }
    }
  });
}

}  // namespace

AttentionResult packed_attention(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                 const AttentionScores& scores) {
  AttentionResult result{at::empty({qkv.size(0), layout.heads * layout.dim}, qkv.options()),
                         at::empty({layout.heads, qkv.size(0)}, at::kFloat)};
  kernels::with_kernels(qkv, [&](const auto& k) { forward(k, qkv, sequences, layout, scores, result); });
  return result;
}

at::Tensor packed_attention_backward(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                     const AttentionScores& scores, const AttentionResult& result,
                                     const at::Tensor& dout) {
  at::Tensor dqkv = at::empty_like(qkv);
  kernels::with_kernels(qkv, [&](const auto& k) { backward(k, qkv, sequences, layout, scores, result, dout, dqkv); });
  return dqkv;
}

}  // namespace lora::cpu
