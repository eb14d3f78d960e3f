// The hand-written kernels against plain tensors in double precision, on every instruction set of this processor.

#include <ATen/ATen.h>
#include <atomic>

#include "models/base/numbers.h"
#include "models/base/threads.h"
#include "models/engine/linear_cross_entropy.h"
#include "models/engine/operations.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/engine/every_target.h"

using namespace lora;
using namespace lora::test;

namespace {

AttentionScores usual(const HeadLayout& layout) { return {.scale = 1 / std::sqrt(static_cast<double>(layout.dim))}; }

// Causal attention of each sample with all of its scores, in double precision.
at::Tensor plain_attention(const at::Tensor& qkv, const std::vector<int64_t>& lengths, const HeadLayout& layout,
                           const AttentionScores& how) {
  const at::Tensor wide = qkv.to(at::kDouble);
  std::vector<at::Tensor> outputs;
  int64_t begin = 0;
  for (const int64_t t : lengths) {
    const at::Tensor rows = wide.narrow(0, begin, t);
    begin += t;
    const auto heads = [&](int64_t first, int64_t count) {
      return rows.narrow(1, first * layout.dim, count * layout.dim).reshape({t, count, layout.dim}).transpose(0, 1);
    };
    const int64_t group = layout.heads / layout.kv_heads;
    const at::Tensor q = heads(0, layout.heads);
    const at::Tensor k = heads(layout.heads, layout.kv_heads).repeat_interleave(group, 0);
    const at::Tensor v = heads(layout.heads + layout.kv_heads, layout.kv_heads).repeat_interleave(group, 0);
    at::Tensor scores = at::matmul(q, k.transpose(1, 2)) * how.scale;
    if (how.softcap != 0) scores = how.softcap * (scores / how.softcap).tanh();
    at::Tensor hidden = at::ones({t, t}, at::kBool).triu(1);
    if (how.window != 0) hidden = hidden.logical_or(at::ones({t, t}, at::kBool).tril(-how.window));
    scores = scores.masked_fill(hidden, -INFINITY);
    outputs.push_back(at::matmul(scores.softmax(-1), v).transpose(0, 1).reshape({t, layout.heads * layout.dim}));
  }
  return at::cat(outputs);
}

const HeadLayout kLayouts[] = {{2, 2, 64}, {6, 2, 20}, {4, 1, 8}, {1, 1, 128}};
const std::vector<int64_t> kSamples = {1, 33, 70, 2, 150};

// Heads of all sizes, and for two of them scores that are scaled, capped (far into the bend and hardly), windowed.
std::vector<std::pair<HeadLayout, AttentionScores>> attentions() {
  std::vector<std::pair<HeadLayout, AttentionScores>> all;
  for (const HeadLayout& layout : kLayouts) all.emplace_back(layout, usual(layout));
  for (const HeadLayout& layout : {kLayouts[0], kLayouts[1]}) {
    all.push_back({layout, {.scale = 0.3}});
    all.push_back({layout, {.scale = 0.3, .softcap = 2}});
    all.push_back({layout, {.scale = 0.1, .softcap = 50}});
    for (const int64_t window : {1, 16, 40, 149, 150}) all.push_back({layout, {.scale = 0.2, .window = window}});
    all.push_back({layout, {.scale = 0.2, .softcap = 5, .window = 33}});
  }
  return all;
}

}  // namespace

TEST_CASE("packed attention and its gradient equal those of plain attention") {
  at::manual_seed(1);
  for (const auto& [layout, scores] : attentions()) {
    const at::Tensor qkv = at::randn({256, layout.width()});
    const at::Tensor dout = at::randn({256, layout.heads * layout.dim});
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const double bound = dtype == at::kFloat ? 1e-6 : 1e-2;
      const at::Tensor input = qkv.to(dtype);
      at::Tensor exact = input.to(at::kDouble).requires_grad_(true);
      const at::Tensor expected = plain_attention(exact, kSamples, layout, scores);
      expected.backward(dout.to(dtype).to(at::kDouble));
      INFO("heads " << layout.heads << " of " << layout.dim << ", scale " << scores.scale << ", cap " << scores.softcap
                    << ", window " << scores.window << ", " << c10::toString(dtype));
      const auto check = [&, &layout = layout, &scores = scores](const Operations& operations, at::ScalarType of,
                                                                 double most) {
        const at::NoGradGuard no_grad;
        const at::Tensor qkv_of = input.to(of), dout_of = dout.to(dtype).to(of);
        const AttentionResult result = operations.packed_attention(qkv_of, {kSamples}, layout, scores);
        CHECK(relative(result.out, expected) < most);
        const at::Tensor dqkv =
            operations.packed_attention_backward(qkv_of, {kSamples}, layout, scores, result, dout_of);
        CHECK(relative(dqkv, exact.grad()) < most);
      };
      on_every_target([&] { check(cpu_operations(dtype), dtype, bound); });
      check(aten_operations(), dtype, bound);
      check(aten_operations(), at::kDouble, 1e-12);
    }
  }
}

TEST_CASE(
    "tokens that are keys and values alone are neither computed nor read, and get the gradients of keys and values") {
  const std::vector<int64_t> known = {0, 5, 33, 1, 95};
  std::vector<int64_t> there, hidden;
  for (int64_t i = 0, begin = 0; i < 5; begin += kSamples[as_size(i++)]) {
    for (int64_t t = 0; t < kSamples[as_size(i)]; ++t) {
      (t < known[as_size(i)] ? hidden : there).push_back(begin + t);
    }
  }
  at::manual_seed(4);
  const std::pair<HeadLayout, AttentionScores> cases[] = {{kLayouts[0], usual(kLayouts[0])},
                                                          {kLayouts[2], usual(kLayouts[2])},
                                                          {kLayouts[1], {.scale = 0.2, .softcap = 5, .window = 33}}};
  for (const auto& [layout, scores] : cases) {
    const at::Tensor qkv = at::randn({256, layout.width()});
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      at::Tensor dout = at::randn({256, layout.heads * layout.dim}).to(dtype);
      dout.index_fill_(0, at::tensor(hidden), 0);
      at::Tensor exact = qkv.to(dtype).to(at::kDouble).requires_grad_(true);
      const at::Tensor expected = plain_attention(exact, kSamples, layout, scores);
      expected.backward(dout.to(at::kDouble));
      INFO("heads " << layout.heads << " of " << layout.dim << ", cap " << scores.softcap << ", window "
                    << scores.window << ", " << c10::toString(dtype));
      const auto check = [&, &layout = layout, &scores = scores](const Operations& operations, double most) {
        const at::NoGradGuard no_grad;
        const Sequences sequences{.lengths = kSamples, .known = known};
        const auto computed = [&](const at::Tensor& x) { return x.index_select(0, at::tensor(there)); };
        AttentionResult result = operations.packed_attention(qkv.to(dtype), sequences, layout, scores);
        CHECK(relative(computed(result.out), computed(expected)) < most);
        const at::Tensor unread = dout.index_fill(0, at::tensor(hidden), NAN);
        result.out.index_fill_(0, at::tensor(hidden), NAN);
        const at::Tensor dqkv =
            operations.packed_attention_backward(qkv.to(dtype), sequences, layout, scores, result, unread);
        const int64_t queries = layout.heads * layout.dim;
        CHECK(relative(dqkv.slice(1, queries), exact.grad().slice(1, queries)) < most);
        CHECK(relative(computed(dqkv.slice(1, 0, queries)), computed(exact.grad().slice(1, 0, queries))) < most);
      };
      const double bound = dtype == at::kFloat ? 1e-6 : 1e-2;
      on_every_target([&] { check(cpu_operations(dtype), bound); });
      check(aten_operations(), bound);
    }
  }
}

TEST_CASE("packed attention is exact where scores are large") {
  const HeadLayout layout{1, 1, 16};
  at::manual_seed(2);
  const at::Tensor qkv = at::randn({64, layout.width()}) * 30;
  on_every_target([&] {
    const AttentionResult result = cpu_operations(at::kFloat).packed_attention(qkv, {{64}}, layout, usual(layout));
    CHECK(relative(result.out, plain_attention(qkv, {64}, layout, usual(layout))) < 1e-5);
  });
}

TEST_CASE("cross-entropy and its gradient equal those of a softmax in double precision") {
  at::manual_seed(3);
  for (const int64_t vocabulary : {3, 97, 1000}) {
    const at::Tensor x = at::randn({41, 24}), w = at::randn({vocabulary, 24});
    const at::Tensor targets = at::randint(vocabulary, {41}, at::kLong);
    at::Tensor exact = x.to(at::kDouble).requires_grad_(true);
    const at::Tensor wanted =
        at::cross_entropy_loss(at::linear(exact, w.to(at::kDouble)), targets, {}, at::Reduction::Sum);
    wanted.backward();
    on_every_target([&] {
      at::Tensor input = x.clone().requires_grad_(true);
      const at::Tensor loss = linear_cross_entropy(input, w, targets);
      loss.backward();
      CHECK(std::abs(loss.item<double>() / wanted.item<double>() - 1) < 1e-6);
      CHECK(relative(input.grad(), exact.grad()) < 1e-5);
    });
  }
}

TEST_CASE("log-probabilities of tokens and the gradients of any sum over them equal those of a softmax") {
  at::manual_seed(4);
  const LogitScale scale = GENERATE(LogitScale{}, LogitScale{.divisor = 2, .softcap = 5});
  const at::Tensor x = at::randn({41, 24}), w = at::randn({97, 24}), factors = at::randn({41});
  const at::Tensor targets = at::randint(97, {41}, at::kLong);
  const auto leaf = [](const at::Tensor& of) { return of.to(at::kDouble).requires_grad_(true); };
  const at::Tensor exact_x = leaf(x), exact_w = leaf(w);
  at::Tensor logits = at::linear(exact_x, exact_w) / scale.divisor;
  if (scale.softcap != 0) logits = (logits / scale.softcap).tanh() * scale.softcap;
  const at::Tensor expected = at::log_softmax(logits, 1).gather(1, targets.unsqueeze(1)).squeeze(1);
  (expected * factors).sum().backward();
  on_every_target([&] {
    at::Tensor input = x.clone().requires_grad_(true), weight = w.clone().requires_grad_(true);
    const at::Tensor found = linear_log_probabilities(input, weight, targets, scale);
    (found * factors).sum().backward();
    CHECK(relative(found, expected) < 1e-6);
    CHECK(relative(input.grad(), exact_x.grad()) < 1e-5);
    CHECK(relative(weight.grad(), exact_w.grad()) < 1e-5);
  });
}

TEST_CASE("a token whose probability is nearly one keeps its small gradient") {
  const at::Tensor w = at::eye(4) * 16;
  at::Tensor x = at::eye(4).narrow(0, 0, 1).clone().requires_grad_(true);
  linear_cross_entropy(x, w, at::zeros({1}, at::kLong)).backward();
  const double rest = 3 * std::exp(-16.0) / (1 + 3 * std::exp(-16.0));
  CHECK(std::abs(x.grad()[0][0].item<double>() / (-16 * rest) - 1) < 0.2);  // float32 has no more digits of it
}

TEST_CASE("one logit that is not a number makes the loss not a number") {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    at::Tensor w = at::randn({70, 8}).to(dtype);
    w[40][3] = NAN;
    const at::Tensor x = at::randn({5, 8}).to(dtype);
    on_every_target([&] { CHECK(std::isnan(linear_cross_entropy(x, w, at::zeros({5}, at::kLong)).item<double>())); });
  }
}

TEST_CASE("dropout by key is the same on every instruction set, drops its share and repeats") {
  const at::Tensor x = at::ones({1000, 37});
  const at::Tensor first = cpu_operations(at::kFloat).dropout(x, 0.3, 12345);
  CHECK(std::abs((first == 0).to(at::kDouble).mean().item<double>() - 0.3) < 0.01);
  CHECK(std::abs(first.max().item<double>() - 1 / 0.7) < 1e-6);
  CHECK_FALSE(at::equal(first, cpu_operations(at::kFloat).dropout(x, 0.3, 12346)));
  CHECK(at::equal(first == 0, cpu_operations(at::kBFloat16).dropout(x.to(at::kBFloat16), 0.3, 12345) == 0));
  on_every_target([&] { CHECK(at::equal(first, cpu_operations(at::kFloat).dropout(x, 0.3, 12345))); });
  CHECK(at::equal(first == 0, aten_operations().dropout(x, 0.3, 12345) == 0));
}

TEST_CASE("parallel_for visits every index once, on several threads, and passes exceptions on") {
  std::vector<std::atomic<int>> visits(1000);
  parallel_for(1000, 7, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
  });
  CHECK(std::ranges::all_of(visits, [](const auto& count) { return count == 1; }));
  CHECK_THROWS_AS(parallel_for(10, 1, [](int64_t, int64_t) { throw std::runtime_error("no"); }), std::runtime_error);
  parallel_for(0, 1, [](int64_t, int64_t) { FAIL("called for nothing"); });
}
