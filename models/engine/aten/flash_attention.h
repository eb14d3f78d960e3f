#pragma once
// LibTorch's flash attention (Dao 2023) for the ATen table, where a device has it: on CUDA, in bfloat16 and float16. It
// holds no scores, so that memory grows with the length of a sample and not with its square. Its interface differs between
// versions of LibTorch; arguments are given by their names.
//
// Before it is used it is held to the table's own attention on a few samples, once for each shape. Where it differs or
// fails, the own one is used.

#include <string>

#include "models/engine/operations.h"

namespace lora::aten {

// Why it does not compute such attention; empty where it does.
std::string flash_attention_problem(at::Device device, at::ScalarType dtype, const HeadLayout& layout,
                                    const AttentionScores& scores);

// Whether it computes these: also no sequence has tokens that are keys and values alone.
bool flash_attends(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                   const AttentionScores& scores);

// As Operations::packed_attention. `log_sum` of the result is in a form of its own.
AttentionResult flash_attention(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                const AttentionScores& scores);
at::Tensor flash_attention_backward(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                    const AttentionScores& scores, const AttentionResult& result,
                                    const at::Tensor& dout);

}  // namespace lora::aten
