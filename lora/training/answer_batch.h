#pragma once
// A pass of preference samples as tensors, with the log-probabilities of their answers. There are no logits: see
// models/engine/linear_cross_entropy.h.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "lora/data/dataset.h"
#include "lora/training/passes.h"
#include "models/network/decoder.h"

namespace lora {

// n samples with one answer each, or n pairs: answer i is the (chosen) answer of sample i, and answer n + i the
// rejected one of pair i.
struct AnswerBatch {
  TokenBatch tokens;
  // (M) int64, of each token that counts: the row that predicts it, its id, and the answer that it is of.
  at::Tensor rows, targets, answers;
  at::Tensor lengths;  // float64: how many tokens each answer has of these
  at::Tensor ends;     // int64: the row of each answer's last token
};

struct AnswerOptions {
  // A pair's prompt is computed once for both answers. False: once for each; the results are equal up to rounding.
  bool share_prompt = true;
  // One answer more, the last: all tokens that the chosen texts have beside their answers, but the first.
  bool count_prompts = false;
};

// Of the pass's samples, on the model's device. Where LongRoPE would turn a prompt otherwise for one of its answers, it
// is not shared.
AnswerBatch answer_batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& pass,
                         const AnswerOptions& options = {});

// Of single answers: sample i's prompt with the answer of sample answers[i].
AnswerBatch exchanged_batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& prompts,
                            const Pass& answers);

// The sum of the log-probabilities of each answer's tokens: float64, with its graph.
at::Tensor answer_log_probabilities(LlamaForCausalLM& model, const AnswerBatch& batch, ExecutionPlan plan);

// The values of the pass's samples, on the device and in the dtype of `like`: (n), without a graph.
at::Tensor values_of(const Pass& pass, const std::function<double(int64_t sample)>& value, const at::Tensor& like);

}  // namespace lora
