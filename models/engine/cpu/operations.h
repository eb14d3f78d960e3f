#pragma once
// The CPU's table of operations: float32 and bfloat16, on all threads, by the kernels of this folder. Each operation is
// documented in models/engine/operations.h.

#include "models/engine/operations.h"

namespace lora::cpu {

void norm_columns(const Norm& norm, const at::Tensor& x, const at::Tensor& y, int64_t column, int64_t width);
void norm_columns_backward(const Norm& norm, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& base,
                           const at::Tensor& dx, int64_t column, int64_t width);
void rotate(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin, const HeadLayout& layout,
            float direction);
at::Tensor swiglu(const at::Tensor& gate_up);
void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& dy);

AttentionResult packed_attention(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                 const AttentionScores& scores);
at::Tensor packed_attention_backward(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                     const AttentionScores& scores, const AttentionResult& result,
                                     const at::Tensor& dout);

void project_rows(const at::Tensor& x, std::span<const LowRankFactor> factors, const at::Tensor& y);
void add_rows(const at::Tensor& x, std::span<const LowRankFactor> factors, const at::Tensor& y);
at::Tensor thin_gradient(const at::Tensor& p, const at::Tensor& x, double scale);

bool takes_product(at::ScalarType dtype, int64_t rows, at::IntArrayRef weight);
void weight_products(std::span<const WeightProduct> products);

at::Tensor dropout(const at::Tensor& x, double p, uint64_t key);
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, bool gradient);

extern const Operations kOperations;

}  // namespace lora::cpu
