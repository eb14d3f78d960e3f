#include "models/engine/dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <cmath>
#include <mutex>

#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"
#include "models/engine/cpu/elementwise.h"

namespace lora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct KeyedDropout : torch::autograd::Function<KeyedDropout> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, double p, int64_t key) {
    ctx->saved_data["p"] = p;
    ctx->saved_data["key"] = key;
    return dropout_values(x, p, static_cast<uint64_t>(key));
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto key = static_cast<uint64_t>(ctx->saved_data["key"].toInt());
    return {dropout_values(grads[0], ctx->saved_data["p"].toDouble(), key), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

uint64_t draw_dropout_key() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

at::Tensor dropout_values(const at::Tensor& x, double p, uint64_t key) {
  if (p == 0) return x;
  const at::Tensor from = x.contiguous();
  if (!kernels::serves(from)) {
    // The kernel's arithmetic in tensors, for other devices: 32-bit values in int64.
    const int64_t mask = 0xffffffff;
    const auto scramble = [&](at::Tensor h) {
      h = (h ^ at::bitwise_right_shift(h, 16)) * 0x85ebca6b & mask;
      h = (h ^ at::bitwise_right_shift(h, 13)) * 0xc2b2ae35 & mask;
      return h ^ at::bitwise_right_shift(h, 16);
    };
    at::Tensor h = at::arange(from.numel(), from.options().dtype(at::kLong)) & mask;
    h = scramble(h ^ static_cast<int64_t>(key & 0xffffffff));
    h = scramble(h ^ static_cast<int64_t>(key >> 32));
    const auto threshold = static_cast<int64_t>(kernels::dropout_threshold(p));
    return (from.flatten() * (at::bitwise_right_shift(h, 1) >= threshold).to(from.scalar_type()) / (1 - p))
        .view(x.sizes());
  }
  at::Tensor to = at::empty_like(from);
  kernels::for_type(from, [&](auto type) {
    using T = decltype(type);
    parallel_for(from.numel(), 1 << 15, [&](int64_t first, int64_t last) {
      kernels::dropout(kernels::data<T>(from) + first, kernels::data<T>(to) + first, static_cast<size_t>(last - first),
                       static_cast<float>(p), key, static_cast<uint32_t>(first));
    });
  });
  return to;
}

at::Tensor keyed_dropout(const at::Tensor& x, double p, uint64_t key) {
  return KeyedDropout::apply(x, p, static_cast<int64_t>(key));
}

}  // namespace lora
