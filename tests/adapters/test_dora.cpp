// DoRA's layer by itself; what it is in PEFT is in tests/training/test_peft_methods.cpp.

#include <ATen/ATen.h>

#include "lora/adapters/methods/dora.h"
#include "models/engine/dropout.h"
#include "tests/catch.h"
#include "tests/compare.h"

using namespace lora;
using namespace lora::test;

namespace {

struct Layer {
  explicit Layer(double dropout = 0, at::ScalarType dtype = at::kFloat, int64_t out = 300) {
    at::manual_seed(5);
    AdapterConfig config;
    config.dropout = dropout;
    base = std::make_shared<DenseLinear>(at::randn({out, 40}).to(dtype), at::randn({out}).to(dtype));
    dora = std::make_shared<DoraLinear>(base, LayerOptions{.config = config, .rank = 3, .alpha = 6, .seed = 1});
    const at::NoGradGuard no_grad;
    dora->lora_B.normal_();
    dora->lora_magnitude_vector.mul_(at::rand({out}).add_(0.5));
  }
  // W + s·B·A
  at::Tensor adapted() const { return base->weight.to(at::kFloat) + 2 * at::mm(dora->lora_B, dora->lora_A); }
  at::Tensor gain() const { return dora->lora_magnitude_vector / adapted().norm(2, 1); }

  std::shared_ptr<DenseLinear> base;
  std::shared_ptr<DoraLinear> dora;
};

}  // namespace

TEST_CASE("DoRA computes m (W + s B A) x / |W + s B A| + b") {
  for (const bool training : {true, false}) {
    const Layer layer;
    layer.dora->train(training);
    const at::NoGradGuard no_grad;
    const at::Tensor x = at::randn({4, 40});
    const at::Tensor wanted = at::linear(x, layer.gain().unsqueeze(1) * layer.adapted(), layer.base->bias);
    CHECK(largest(layer.dora->forward(x) - wanted) < 1e-4);
    CHECK(largest(at::linear(x, layer.dora->merged_weight(), layer.base->bias) - wanted) < 1e-4);
  }
}

TEST_CASE("DoRA drops the input of what it adds to the base's output, as PEFT does") {
  const Layer layer(0.4);
  layer.dora->train();
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::randn({4, 40});
  at::manual_seed(9);
  const at::Tensor found = layer.dora->forward(x);
  at::manual_seed(9);
  const at::Tensor dropped = keyed_dropout(x, 0.4, draw_dropout_key());
  const at::Tensor wanted = layer.base->forward(x) + (layer.gain() - 1) * at::linear(dropped, layer.base->weight) +
                            layer.gain() * at::linear(dropped, layer.adapted() - layer.base->weight);
  CHECK(largest(found - wanted) < 1e-4);
}

TEST_CASE("DoRA's norm passes no gradient to A and B") {
  const Layer layer;
  layer.dora->train();
  const at::Tensor x = at::randn({4, 40}), weights = at::randn({4, 300});
  (layer.dora->forward(x) * weights).sum().backward();
  const at::Tensor gain = layer.gain().detach();
  const at::Tensor b = layer.dora->lora_B.detach().requires_grad_(), a = layer.dora->lora_A.detach().requires_grad_();
  (gain * at::linear(x, layer.base->weight + 2 * at::mm(b, a)) * weights).sum().backward();
  CHECK(largest(layer.dora->lora_A.grad() - a.grad()) < 1e-4 * largest(a.grad()));
  CHECK(largest(layer.dora->lora_B.grad() - b.grad()) < 1e-4 * largest(b.grad()));
}

TEST_CASE("DoRA's norm in evaluation follows the weights from one evaluation to the next") {
  const Layer layer;
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::randn({4, 40});
  layer.dora->eval();
  layer.dora->forward(x);
  layer.dora->lora_B.mul_(3);
  layer.dora->train();
  layer.dora->eval();
  CHECK(largest(layer.dora->forward(x) - at::linear(x, layer.dora->merged_weight(), layer.base->bias)) < 1e-4);
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : layer.dora->peft_tensors()) tensors.push_back(tensor.clone().mul_(2));
  layer.dora->load_peft_tensors(tensors);
  CHECK(largest(layer.dora->forward(x) - at::linear(x, layer.dora->merged_weight(), layer.base->bias)) < 1e-3);
}

TEST_CASE("DoRA on a bfloat16 base has a float32 norm, and rows of zeros stay numbers") {
  Layer layer(0, at::kBFloat16);
  const at::NoGradGuard no_grad;
  layer.dora->train();
  const at::Tensor x = at::randn({4, 40}).to(at::kBFloat16);
  const at::Tensor wanted =
      at::linear(x.to(at::kFloat), layer.gain().unsqueeze(1) * layer.adapted(), layer.base->bias.to(at::kFloat));
  CHECK(largest(layer.dora->forward(x).to(at::kFloat) - wanted) < 0.02 * largest(wanted));

  const auto zeros = std::make_shared<DenseLinear>(at::zeros({5, 40}));
  DoraLinear pruned(zeros, {.config = {}, .rank = 3, .alpha = 6, .seed = 1});
  CHECK(pruned.forward(at::randn({4, 40})).eq(0).all().item<bool>());
  CHECK(pruned.merged_weight().eq(0).all().item<bool>());
}
