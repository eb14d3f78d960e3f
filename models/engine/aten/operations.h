#pragma once
// The table of operations in ATen's own: any device; float32, bfloat16, float16 and float64. It is short and exact rather than
// quick: it makes wide copies of activations. Each operation is documented in models/engine/operations.h.

#include "models/engine/operations.h"

namespace lora::aten {

// In the dtype of the activations, rounded after each step.
at::Tensor geglu(const at::Tensor& gate_up);
void geglu_backward(const at::Tensor& gate_up, const at::Tensor& dy);

// Of all scores of a sequence at once; see flash_attention.h for where the table has another.
AttentionResult plain_attention(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                const AttentionScores& scores);
at::Tensor plain_attention_backward(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                    const AttentionScores& scores, const AttentionResult& result,
                                    const at::Tensor& dout);

extern const Operations kOperations;

}  // namespace lora::aten
