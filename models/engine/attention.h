#pragma once
// Causal self-attention over samples that lie back to back (Vaswani et al. 2017; grouped queries: Ainslie et al. 2023).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lora {

// A sample whose tokens are a prompt and two continuations of it, one after the other. Each continuation sees the
// prompt and itself, at the positions right behind the prompt.
struct Fork {
  int64_t prompt = 0;  // tokens of the prompt
  int64_t second = 0;  // where the second continuation begins, counted from the sample's start; 0: does not fork
};

// The sequences of tokens within which a batch's samples are attended to: a sample that forks has two, and its prompt's
// tokens are in both. In the second they are keys and values alone: what comes out for them stands in the first.
struct Sequences {
  struct Repeat {
    int64_t row, place, count;  // these rows of the batch stand in the sequences once more, from this place on
  };
  std::vector<int64_t> lengths;
  std::vector<int64_t> known = {};  // of each: how many tokens at its front are keys and values alone; empty: none
  std::vector<Repeat> repeats = {};
  at::Tensor rows = {};    // (S) int64, S = the sum of lengths: each place's row in the batch; undefined: none forks
  at::Tensor places = {};  // (N) int64: each row's (first) place; undefined likewise
  // (sequences + 1) int32: where each begins, and the last one ends. Undefined on the CPU, which reads `lengths`.
  at::Tensor bounds = {};

  int64_t known_of(size_t sequence) const { return known.empty() ? 0 : known[sequence]; }
};
// `forks`: of each sample; may be empty where none forks.
Sequences make_sequences(const std::vector<int64_t>& lengths, const std::vector<Fork>& forks, const at::Device& device);

// How the sequences of a batch are attended to, made once and used by every layer. Sequences of nearly one length
// form a group that is attended to in one call, the shorter ones filled up at their end: a causal query never sees what
// comes after it, so the filling needs no mask and changes nothing.
struct AttentionPlan {
  struct Group {
    int64_t sequences, length;
    at::Tensor tokens;  // (sequences · length) int64: each place's token in the batch
  };
  std::vector<Group> groups;
  at::Tensor
      places;  // (N) int64: each token's place in the groups' outputs, one after another; undefined for one sequence
};
AttentionPlan make_attention_plan(const Sequences& sequences, const at::Device& device);

// How a query weighs the keys it sees.
struct AttentionScores {
  double scale = 1;    // of q·k
  double softcap = 0;  // c: the scaled scores become c·tanh(score/c); 0: as they are
  int64_t window = 0;  // a token sees itself and the window − 1 before it; 0: all before it
};

// How a token's queries, keys and values lie side by side: [q | k | v].
struct HeadLayout {
  int64_t heads, kv_heads, dim;  // heads: of queries, a multiple of kv_heads
  int64_t width() const { return (heads + 2 * kv_heads) * dim; }
};

// q (N, heads, D), k and v (N, kv_heads, D), heads a multiple of kv_heads -> (N, heads, D). Token t of a sequence
// sees tokens 0 … t of that sequence, within the window, and nothing else. Differentiable.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan,
                            const AttentionScores& scores);

// One sample's new queries against all of its keys: q (T, heads, D), k and v (S, kv_heads, D), S >= T; query t is at
// position S - T + t.
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionScores& scores);

}  // namespace lora
