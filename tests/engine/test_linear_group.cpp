// Projections with adapters as functions, against plain tensors in double precision, on every instruction set.

#include <ATen/ATen.h>

#include "models/engine/linear_group.h"
#include "models/engine/operations.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/engine/every_target.h"

using namespace lora;
using namespace lora::test;

namespace {

struct Shape {
  int64_t tokens, in;
  std::vector<int64_t> out, rank;  // rank 0: no adapter
};

// Whole tiles, contractions of several chunks, ranks that are no tiles, widths and counts of rows that are none.
const Shape kShapes[] = {{64, 96, {64, 32, 32}, {16, 8, 0}},
                         {64, 1600, {800, 832}, {16, 8}},
                         {32, 320, {160}, {40}},
                         {96, 64, {32, 64}, {16, 16}},
                         {33, 64, {96}, {16}},
                         {70, 40, {24, 56}, {4, 20}}};

}  // namespace

TEST_CASE("projections with adapters and their gradients equal those of plain tensors") {
  at::manual_seed(5);
  for (const Shape& shape : kShapes) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      // bfloat16's results are rounded once; what is float32 is the sum of two bfloat16 at the least.
      const double bound = dtype == at::kFloat ? 1e-5 : 4e-3, wide_bound = 3e-5;
      const at::Tensor x = at::randn({shape.tokens, shape.in}).to(dtype);
      std::vector<LinearParts> parts;
      std::vector<at::Tensor> exact_outputs, leaves;
      at::Tensor exact_x = x.to(at::kDouble).requires_grad_(true);
      const auto leaf = [&](const at::Tensor& t) {
        leaves.push_back(t.to(at::kDouble).detach().requires_grad_(true));
        return leaves.back();
      };
      for (size_t i = 0; i < shape.out.size(); ++i) {
        LinearParts part{.weight = at::randn({shape.out[i], shape.in}).to(dtype), .scaling = 0.5};
        at::Tensor y = at::linear(exact_x, part.weight.dense().to(at::kDouble));
        if (shape.rank[i] > 0) {
          part.lora_A = at::randn({shape.rank[i], shape.in}).requires_grad_(true);
          part.lora_B = at::randn({shape.out[i], shape.rank[i]}).requires_grad_(true);
          const at::Tensor low = at::linear(exact_x, leaf(part.lora_A));
          y = y + 0.5 * at::linear(low, leaf(part.lora_B));
        }
        parts.push_back(part);
        exact_outputs.push_back(y);
      }
      const at::Tensor wanted = at::cat(exact_outputs, 1), before = at::randn(wanted.sizes()).to(dtype);
      const at::Tensor dy = at::randn(wanted.sizes()).to(dtype);
      wanted.backward(dy.to(at::kDouble));
      const LinearGroup group(parts, dtype, *operations_for(x));
      on_every_target([&] {
        INFO(shape.tokens << " tokens, " << shape.in << " wide, " << c10::toString(dtype));
        at::NoGradGuard no_grad;
        at::Tensor y = at::empty(wanted.sizes(), dtype), sum = before.clone(), dx = at::empty(x.sizes(), dtype);
        const LinearGroup::Kept kept = group.forward(x, /*base=*/{}, y);
        group.forward(x, sum, sum);
        CHECK(relative(y, wanted) < bound);
        CHECK(relative(sum, wanted + before.to(at::kDouble)) < bound);
        const at::Tensor dlow = group.low_gradient(dy);
        group.input_gradient(dy, dlow, kept, dx);
        CHECK(relative(dx, exact_x.grad()) < bound);
        std::vector<at::Tensor> grads;
        group.parameter_gradients(dy, dy, dlow, x, kept, grads);
        REQUIRE(grads.size() == leaves.size());
        for (size_t i = 0; i < grads.size(); ++i) CHECK(relative(grads[i], leaves[i].grad()) < wide_bound);
      });
    }
  }
}
