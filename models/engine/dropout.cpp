#include "models/engine/dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <mutex>

#include "models/engine/operations.h"

namespace lora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The gradient of x is the same function of the gradient.
at::Tensor dropped(const at::Tensor& x, double p, uint64_t key) { return some_operations_for(x).dropout(x, p, key); }

struct KeyedDropout : torch::autograd::Function<KeyedDropout> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, double p, int64_t key) {
    ctx->saved_data["p"] = p;
    ctx->saved_data["key"] = key;
    return dropped(x, p, static_cast<uint64_t>(key));
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto key = static_cast<uint64_t>(ctx->saved_data["key"].toInt());
    return {dropped(grads[0], ctx->saved_data["p"].toDouble(), key), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

uint64_t draw_dropout_key() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

at::Tensor keyed_dropout(const at::Tensor& x, double p, uint64_t key) {
  return KeyedDropout::apply(x, p, static_cast<int64_t>(key));
}

}  // namespace lora
