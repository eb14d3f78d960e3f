#pragma once
// The output head and the loss as one operation that never holds the logits of more than a chunk of tokens.

#include <ATen/core/Tensor.h>

namespace lora {

// What lies between the product and the softmax: logits = c·tanh(x Wᵀ / divisor / c), or x Wᵀ / divisor for c = 0.
struct LogitScale {
  double divisor = 1;
  double softcap = 0;  // c
};

// Sum over tokens of −log softmax(logits)[target], float32 scalar. x (M, H), weight (V, H), targets (M) int64 in [0,
// V). The gradient of x, and of weight where it is asked for, is computed in the forward pass chunk by chunk, while
// that chunk's logits are at hand. Softmax in float32 whatever the dtype of x. Differentiable once.
at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                                const LogitScale& scale = {});

// How many of `rows` tokens have their logits held at once, with that vocabulary.
int64_t linear_cross_entropy_chunk(int64_t rows, int64_t vocabulary);

}  // namespace lora
