#include "models/engine/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "models/engine/devices.h"
#include "models/engine/soft_cap.h"

namespace lora {
namespace {

// (B, T, kv_heads, D) -> (B, heads, T, D): each key head is shared by heads / kv_heads query heads.
at::Tensor spread_heads(const at::Tensor& x, int64_t heads) {
  const int64_t groups = heads / x.size(2);
  return (groups == 1 ? x : x.repeat_interleave(groups, /*dim=*/2)).transpose(1, 2);
}

// q (B, heads, T, D) at the last T of S positions, k and v (B, heads, S, D) -> (B, heads, T, D).
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionScores& scores) {
  const int64_t queries = q.size(2), keys = k.size(2);
  const bool limited = scores.window != 0 && scores.window < keys;
  std::optional<at::Tensor> seen;
  if (limited || (queries > 1 && (queries < keys || scores.softcap != 0))) {
    seen = at::ones({queries, keys}, q.options().dtype(at::kBool)).tril_(keys - queries);
    if (limited) seen->triu_(keys - queries - scores.window + 1);
  }
  if (scores.softcap == 0) {
    return at::scaled_dot_product_attention(q, k, v, seen, /*dropout_p=*/0.0,
                                            /*is_causal=*/!seen && queries > 1, scores.scale);
  }
  at::Tensor capped = soft_cap(at::matmul(q, k.transpose(2, 3)) * scores.scale, scores.softcap);
  if (seen) capped = capped.masked_fill(seen->logical_not(), -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(capped, -1, at::kFloat).to(q.scalar_type()), v);
}

// Few calls against little filling: a group takes sequences down to four fifths of its longest, and short ones anyhow.
bool fits_group(int64_t length, int64_t longest) { return 5 * length >= 4 * longest || longest - length <= 8; }

}  // namespace

Sequences make_sequences(const std::vector<int64_t>& lengths, const std::vector<Fork>& forks,
                         const at::Device& device) {
  Sequences sequences;
  if (std::ranges::none_of(forks, [](const Fork& fork) { return fork.second != 0; })) {
    sequences.lengths = lengths;
    if (!device.is_cpu()) {
      std::vector<int32_t> bounds = {0};
      for (const int64_t length : lengths) bounds.push_back(bounds.back() + static_cast<int32_t>(length));
      sequences.bounds = on_device(at::tensor(bounds, at::kInt), device);
    }
    return sequences;
  }
  std::vector<int64_t> rows, places;
  const auto add_rows = [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) rows.push_back(row);
  };
  const auto add_new_rows = [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) places.push_back(std::ssize(rows) + row - first);
    add_rows(first, end);
  };
  int64_t begin = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const Fork fork = i < forks.size() ? forks[i] : Fork{};
    const int64_t end = begin + lengths[i];
    if (fork.second == 0) {
      sequences.lengths.push_back(lengths[i]);
      sequences.known.push_back(0);
      add_new_rows(begin, end);
    } else {
      sequences.lengths.push_back(fork.second);
      add_new_rows(begin, begin + fork.second);
      sequences.lengths.push_back(fork.prompt + lengths[i] - fork.second);
      sequences.known.insert(sequences.known.end(), {0, fork.prompt});
      if (fork.prompt > 0) sequences.repeats.push_back({begin, std::ssize(rows), fork.prompt});
      add_rows(begin, begin + fork.prompt);
      add_new_rows(begin + fork.second, end);
    }
    begin = end;
  }
  sequences.rows = on_device(at::tensor(rows, at::kLong), device);
  sequences.places = on_device(at::tensor(places, at::kLong), device);
  return sequences;
}

AttentionPlan make_attention_plan(const Sequences& sequences, const at::Device& device) {
  const std::vector<int64_t>& lengths = sequences.lengths;
  AttentionPlan plan;
  const auto there = [&](const std::vector<int64_t>& values) {
    return on_device(at::tensor(values, at::kLong), device);
  };
  if (lengths.size() == 1) {
    plan.groups.push_back({1, lengths[0], at::Tensor()});
    return plan;
  }
  std::vector<int64_t> begins(lengths.size());
  std::exclusive_scan(lengths.begin(), lengths.end(), begins.begin(), int64_t{0});
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });

  std::vector<int64_t> places(static_cast<size_t>(begins.back() + lengths.back()));
  int64_t place = 0;
  for (size_t first = 0; first < order.size();) {
    const int64_t longest = lengths[order[first]];
    std::vector<int64_t> tokens;
    size_t next = first;
    for (; next < order.size() && fits_group(lengths[order[next]], longest); ++next) {
      const int64_t begin = begins[order[next]], length = lengths[order[next]];
      for (int64_t t = 0; t < longest; ++t) {
        tokens.push_back(begin + std::min(t, length - 1));
        if (t < length) places[static_cast<size_t>(begin + t)] = place + t;
      }
      place += longest;
    }
    const at::Tensor of_sequences = there(tokens);
    plan.groups.push_back({static_cast<int64_t>(next - first), longest,
                           sequences.rows.defined() ? sequences.rows.index_select(0, of_sequences) : of_sequences});
    first = next;
  }
  const at::Tensor all = there(places);
  plan.places = sequences.places.defined() ? all.index_select(0, sequences.places) : all;
  return plan;
}

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan,
                            const AttentionScores& scores) {
  const int64_t heads = q.size(1), dim = q.size(2);
  std::vector<at::Tensor> outputs;
  for (const AttentionPlan::Group& group : plan.groups) {
    const auto pick = [&](const at::Tensor& x) {
      const at::Tensor rows = group.tokens.defined() ? x.index_select(0, group.tokens) : x;
      return rows.view({group.sequences, group.length, x.size(1), dim});
    };
    const at::Tensor out =
        attend(pick(q).transpose(1, 2), spread_heads(pick(k), heads), spread_heads(pick(v), heads), scores);
    outputs.push_back(out.transpose(1, 2).reshape({group.sequences * group.length, heads, dim}));
  }
  return plan.places.defined() ? at::cat(outputs).index_select(0, plan.places) : outputs[0];
}

at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionScores& scores) {
  const int64_t heads = q.size(1);
  // Of a single query all keys within the window are seen, and the others need not be touched.
  const int64_t hidden = q.size(0) == 1 && scores.window ? std::max<int64_t>(0, k.size(0) - scores.window) : 0;
  const auto keys = [&](const at::Tensor& x) { return spread_heads(x.slice(0, hidden).unsqueeze(0), heads); };
  return attend(q.unsqueeze(0).transpose(1, 2), keys(k), keys(v), scores).squeeze(0).transpose(0, 1);
}

}  // namespace lora
