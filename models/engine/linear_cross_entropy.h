#pragma once
// The output head and the loss as one operation that never holds the logits of more than a chunk of tokens.

#include <ATen/core/Tensor.h>

namespace lora {

struct Operations;

// Between the product and the softmax: logits = c·tanh(x Wᵀ / divisor / c), or x Wᵀ / divisor for c = 0.
struct LogitScale {
  double divisor = 1;
  double softcap = 0;  // c
};

// x (M, H), weight (V, H), targets (M) int64 in [0, V). The forward pass computes the gradient of x, chunk by chunk,
// while the chunk's logits are in memory. The softmax is wide (operations.h) whatever the dtype of x. Differentiable
// once. By default the operations are some_operations_for(x).

// Sum over tokens of −log softmax(logits)[target], float32 scalar. The forward pass computes the weight's gradient too.
at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                                const LogitScale& scale = {});
at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                                const LogitScale& scale, const Operations& operations);

// log softmax(logits)[target] of each token: (M) float32. Where the weight requires a gradient, the backward pass
// computes the logits again.
at::Tensor linear_log_probabilities(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                                    const LogitScale& scale = {});
at::Tensor linear_log_probabilities(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                                    const LogitScale& scale, const Operations& operations);

// The number of tokens in a chunk of `rows` tokens, with that vocabulary.
int64_t linear_cross_entropy_chunk(int64_t rows, int64_t vocabulary);

}  // namespace lora
