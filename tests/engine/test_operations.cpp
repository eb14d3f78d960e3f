// The CPU's table of operations against ATen's in double precision, on every instruction set of this processor. The
// shapes are odd: vectors that no register holds whole, ranks past a block, slices of wider matrices.

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "models/engine/conventions.h"
#include "models/engine/operations.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/engine/every_target.h"

using namespace lora;
using namespace lora::test;

namespace {

const Operations& reference = aten_operations();

at::Tensor twice(const at::Tensor& x) { return x.defined() ? x.to(at::kDouble) : x; }

// Of one rounding: to float32, after sums of some length, or to bfloat16.
double bound(at::ScalarType dtype) { return dtype == at::kFloat ? 2e-6 : 4e-3; }
// Of float32 results that are sums of products of two bfloat16 at the least.
constexpr double kWideBound = 3e-5;

// Calls f(dtype) for each dtype of the CPU's table.
void for_dtypes(const std::function<void(at::ScalarType)>& f) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    INFO(c10::toString(dtype));
    f(dtype);
  }
}

Norm widened(const Norm& norm) { return {twice(norm.weight), norm.one_plus, norm.eps}; }

LowRankFactor widened(const LowRankFactor& factor) { return {twice(factor.m), factor.transposed, factor.scale}; }
std::vector<LowRankFactor> widened(const std::vector<LowRankFactor>& factors) {
  std::vector<LowRankFactor> all;
  for (const LowRankFactor& factor : factors) all.push_back(widened(factor));
  return all;
}

int64_t padded_width(const std::vector<int64_t>& ranks) {
  int64_t width = 0;
  for (const int64_t rank : ranks) width += padded_rank(rank);
  return width;
}

// Low-rank activations with zeros in the padding.
at::Tensor random_low(int64_t rows, const std::vector<int64_t>& ranks) {
  at::Tensor low = at::zeros({rows, padded_width(ranks)});
  int64_t column = 0;
  for (const int64_t rank : ranks) {
    low.narrow(1, column, rank).normal_();
    column += padded_rank(rank);
  }
  return low;
}

// The gradient of x, given that of f(x).
at::Tensor gradient(const std::function<at::Tensor(const at::Tensor&)>& f, const at::Tensor& x, const at::Tensor& dy) {
  const at::AutoGradMode on(true);
  const at::Tensor leaf = x.detach().clone().requires_grad_(true);
  return torch::autograd::grad({f(leaf)}, {leaf}, {dy})[0];
}

}  // namespace

TEST_CASE("norms of columns and their gradients equal ATen's") {
  at::manual_seed(11);
  const at::NoGradGuard no_grad;
  struct Case {
    int64_t size, count, before, after;  // widths: of a norm, and of the columns on both sides of them
  };
  for (const Case& c : {Case{64, 1, 0, 0}, Case{33, 1, 0, 5}, Case{20, 3, 40, 7}, Case{128, 2, 16, 16}}) {
    for (const bool one_plus : {false, true}) {
      for_dtypes([&](at::ScalarType dtype) {
        const int64_t width = c.size * c.count, all = c.before + width + c.after;
        const Norm norm{at::randn({c.size}).to(dtype), one_plus, 1e-5};
        const at::Tensor x = at::randn({37, all}).to(dtype), dy = at::randn({37, all}).to(dtype);
        const at::Tensor before = at::randn({37, all}).to(dtype), base = at::randn({37, all}).to(dtype);
        at::Tensor y = twice(before), dx = twice(before), added = twice(before), onto = twice(before);
        reference.norm_columns(widened(norm), twice(x), y, c.before, width);
        reference.norm_columns_backward(widened(norm), twice(x), twice(dy), {}, dx, c.before, width);
        reference.norm_columns_backward(widened(norm), twice(x), twice(dy), twice(base), added, c.before, width);
        reference.norm_columns_backward(widened(norm), twice(x), twice(dy), onto, onto, c.before, width);
        on_every_target([&] {
          const auto check = [&](const at::Tensor& expected, auto f) {
            at::Tensor found = before.clone();
            f(found);
            CHECK(relative(found, expected) < bound(dtype));
          };
          const Operations& own = cpu_operations(dtype);
          check(y, [&](const at::Tensor& to) { own.norm_columns(norm, x, to, c.before, width); });
          check(dx, [&](const at::Tensor& to) { own.norm_columns_backward(norm, x, dy, {}, to, c.before, width); });
          check(added,
                [&](const at::Tensor& to) { own.norm_columns_backward(norm, x, dy, base, to, c.before, width); });
          check(onto, [&](const at::Tensor& to) { own.norm_columns_backward(norm, x, dy, to, to, c.before, width); });
        });
      });
    }
  }
}

TEST_CASE("the rotary embedding of a part of each head equals ATen's") {
  at::manual_seed(12);
  const at::NoGradGuard no_grad;
  for (const HeadLayout& layout : {HeadLayout{4, 2, 16}, HeadLayout{3, 1, 20}, HeadLayout{2, 2, 128}}) {
    for (const int64_t rotated : {layout.dim, layout.dim / 4 * 2}) {
      const at::Tensor angles = at::randn({19, rotated / 2}), cos = angles.cos(), sin = angles.sin();
      for (const float direction : {1.0f, -1.0f}) {
        for_dtypes([&](at::ScalarType dtype) {
          const at::Tensor qkv = at::randn({19, layout.width()}).to(dtype), expected = twice(qkv).clone();
          reference.rotate(expected, cos, sin, layout, direction);
          on_every_target([&] {
            const at::Tensor found = qkv.clone();
            cpu_operations(dtype).rotate(found, cos, sin, layout, direction);
            CHECK(relative(found, expected) < bound(dtype));
          });
        });
      }
    }
  }
}

TEST_CASE("gated activations and their gradients equal ATen's") {
  at::manual_seed(13);
  const at::NoGradGuard no_grad;
  for (const int64_t width : {1, 43, 172, 512}) {
    for_dtypes([&](at::ScalarType dtype) {
      const at::Tensor gate_up = (at::randn({21, 2 * width}) * 3).to(dtype), dy = at::randn({21, width}).to(dtype);
      for (const auto& [forward, backward] : {std::pair(&Operations::swiglu, &Operations::swiglu_backward),
                                              std::pair(&Operations::geglu, &Operations::geglu_backward)}) {
        // GELU's steps are rounded one by one.
        const double most = (forward == &Operations::geglu ? 3 : 1) * bound(dtype);
        const at::Tensor y = (reference.*forward)(twice(gate_up)), dgate_up = twice(gate_up).clone();
        const at::Tensor y_again = twice(dy).clone();
        (reference.*backward)(dgate_up, y_again);
        CHECK(relative(y_again, y) < 1e-12);
        on_every_target([&, forward = forward, backward = backward] {
          CHECK(relative((cpu_operations(dtype).*forward)(gate_up), y) < most);
          const at::Tensor found = gate_up.clone(), found_y = dy.clone();
          (cpu_operations(dtype).*backward)(found, found_y);
          CHECK(relative(found, dgate_up) < most);
          CHECK(relative(found_y, y) < most);
        });
      }
    });
  }
}

TEST_CASE("low-rank products equal ATen's, and keep zeros in the padding of ranks") {
  at::manual_seed(14);
  const at::NoGradGuard no_grad;
  struct Case {
    int64_t rows, width;
    std::vector<int64_t> ranks;
  };
  for (const Case& c : {Case{64, 96, {16, 8}}, Case{33, 40, {5}}, Case{70, 1600, {20, 4, 16}}}) {
    std::vector<LowRankFactor> down, up;  // (width, rank), and (rank, width)
    for (size_t i = 0; i < c.ranks.size(); ++i) {
      const at::Tensor a = at::randn({c.ranks[i], c.width}), b = at::randn({c.width, c.ranks[i]});
      down.push_back(i % 2 ? LowRankFactor{b, false, 0.5} : LowRankFactor{a, true, 0.5});
      up.push_back(i % 2 ? LowRankFactor{b, true, 2} : LowRankFactor{a, false, 2});
    }
    for_dtypes([&](at::ScalarType dtype) {
      const at::Tensor x = at::randn({c.rows, c.width + 3}).to(dtype).narrow(1, 2, c.width);
      const at::Tensor low = random_low(c.rows, c.ranks), to = at::randn({c.rows, c.width + 5}).to(dtype);
      at::Tensor projected = at::empty(low.sizes(), at::kDouble), sum = twice(to).clone();
      reference.project_rows(twice(x), widened(down), projected);
      reference.add_rows(twice(low), widened(up), sum.narrow(1, 4, c.width));
      const at::Tensor thin = reference.thin_gradient(twice(low), twice(x), 0.5);
      on_every_target([&] {
        at::Tensor found = at::full(low.sizes(), NAN);
        cpu_operations(dtype).project_rows(x, down, found);
        CHECK(relative(found, projected) < kWideBound);
        CHECK(at::equal(found == 0, projected == 0));
        found = to.clone();
        cpu_operations(dtype).add_rows(low, up, found.narrow(1, 4, c.width));
        CHECK(relative(found, sum) < std::max(bound(dtype), kWideBound));
        CHECK(relative(cpu_operations(dtype).thin_gradient(low, x, 0.5), thin) < kWideBound);
      });
    });
  }
}

TEST_CASE("products with weights equal ATen's, with adapters folded in, where they are taken") {
  at::manual_seed(15);
  const at::NoGradGuard no_grad;
  struct Case {
    int64_t rows, depth, columns;
  };
  const std::vector<int64_t> ranks = {16, 40};
  for (const auto& [rows, depth, columns] : {Case{96, 1600, 160}, Case{1, 3, 5}, Case{97, 300, 37}}) {
    for_dtypes([&, rows = rows, depth = depth, columns = columns](at::ScalarType dtype) {
      const auto random = [&](int64_t r, int64_t c) { return at::randn({r, c}).to(dtype); };
      const at::Tensor x = random(rows, depth), w = random(columns, depth), x2 = random(rows, 64),
                       w2 = random(64, columns);
      const at::Tensor wide_x = random(rows, depth + 32).narrow(1, 32, depth), base = random(rows, columns);
      const Folded folded{random_low(rows, ranks), {{at::randn({16, columns})}, {at::randn({columns, 40}), true, 0.5}}};
      const WeightProduct products[] = {
          {.terms = {{x, w, true}}, .y = {}},
          {.terms = {{wide_x, w, true}, {x2, w2, false}}, .folded = folded, .added = base, .y = {}},
      };
      std::vector<at::Tensor> expected;
      for (WeightProduct product : products) {
        for (ProductTerm& term : product.terms) term = {twice(term.a), twice(term.m), term.transposed};
        if (!product.folded.matrices.empty()) product.folded = {twice(folded.low), widened(folded.matrices)};
        product.added = twice(product.added);
        product.y = at::empty({rows, columns}, at::kDouble);
        reference.weight_products({&product, 1});
        expected.push_back(product.y);
      }
      on_every_target([&] {
        if (!cpu_operations(dtype).takes_product(dtype, rows, w.sizes())) return;
        std::vector<WeightProduct> own(std::begin(products), std::end(products));
        for (WeightProduct& product : own) product.y = at::empty({rows, columns}, dtype);
        cpu_operations(dtype).weight_products(own);
        for (size_t i = 0; i < own.size(); ++i) CHECK(relative(own[i].y, expected[i]) < bound(dtype));
      });
      CHECK_FALSE(cpu_operations(at::kFloat).takes_product(at::kFloat, 97, w.sizes()));
    });
  }
}

TEST_CASE("dropout drops the elements that ATen's drops") {
  const at::Tensor x = at::randn({100, 37});
  for_dtypes([&](at::ScalarType dtype) {
    const at::Tensor expected = reference.dropout(twice(x.to(dtype)), 0.3, 12345);
    on_every_target([&] {
      const at::Tensor found = cpu_operations(dtype).dropout(x.to(dtype), 0.3, 12345);
      CHECK(at::equal(found == 0, expected == 0));
      CHECK(relative(found, expected) < bound(dtype));
    });
  });
}

TEST_CASE("the loss of rows of logits and its gradient equal ATen's") {
  at::manual_seed(16);
  const at::NoGradGuard no_grad;
  for (const int64_t vocabulary : {3, 97, 1000}) {
    const at::Tensor targets = at::randint(vocabulary, {41}, at::kLong);
    for_dtypes([&](at::ScalarType dtype) {
      const at::Tensor logits = (at::randn({41, vocabulary}) * 4).to(dtype), gradient = twice(logits).clone();
      const at::Tensor losses = reference.cross_entropy(gradient, targets, true);
      on_every_target([&] {
        at::Tensor found = logits.clone();
        CHECK(relative(cpu_operations(dtype).cross_entropy(found, targets, false), losses) < 1e-6);
        CHECK(at::equal(found, logits));
        CHECK(relative(cpu_operations(dtype).cross_entropy(found, targets, true), losses) < 1e-6);
        CHECK(relative(found, gradient) < bound(dtype));
      });
    });
  }
}

TEST_CASE("the backward passes of ATen's table are the gradients of its forward passes") {
  at::manual_seed(17);
  const auto random = [](int64_t rows, int64_t columns) { return at::randn({rows, columns}, at::kDouble); };
  const Norm norm{at::randn({20}, at::kDouble), true, 1e-5};
  const at::Tensor x = random(9, 60), dy = random(9, 60);
  at::Tensor dx = at::empty_like(x);
  reference.norm_columns_backward(norm, x, dy, {}, dx, 0, 60);
  const auto normed = [&](const at::Tensor& from) {
    at::Tensor y = at::empty_like(from);
    reference.norm_columns(norm, from, y, 0, 60);
    return y;
  };
  CHECK(relative(dx, gradient(normed, x, dy)) < 1e-12);

  const HeadLayout layout{3, 1, 12};
  const at::Tensor angles = at::randn({9, 4}), cos = angles.cos(), sin = angles.sin();
  const auto rotated = [&](const at::Tensor& from) {
    const at::Tensor y = from.clone();
    reference.rotate(y, cos, sin, layout, 1);
    return y;
  };
  at::Tensor dqkv = dy.clone();
  reference.rotate(dqkv, cos, sin, layout, -1);
  CHECK(relative(dqkv, gradient(rotated, x, dy)) < 1e-6);  // cosine and sine are float32

  const at::Tensor dact = random(9, 30);
  for (const auto& [forward, backward] :
       {std::pair(reference.swiglu, reference.swiglu_backward), std::pair(reference.geglu, reference.geglu_backward)}) {
    const at::Tensor found = x.clone();
    backward(found, dact.clone());
    CHECK(relative(found, gradient(forward, x, dact)) < 1e-12);
  }

  const at::Tensor logits = random(9, 17), targets = at::randint(17, {9}, at::kLong);
  const auto loss = [&](const at::Tensor& from) { return reference.cross_entropy(from, targets, false); };
  const at::Tensor expected = gradient(loss, logits, at::ones({9}, at::kDouble));
  reference.cross_entropy(logits, targets, true);
  CHECK(relative(logits, expected) < 1e-12);
}
