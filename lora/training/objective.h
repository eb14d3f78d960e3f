#pragma once
// What a pass of samples contributes to the loss, and what the sum is divided by. An objective is a file in objectives/
// and a row of the table in objectives/objectives.h.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lora/training/passes.h"
#include "models/base/names.h"
#include "models/engine/execution_plan.h"

namespace lora {

struct Evaluation;

// The loss of a step, or of a validation set, is the sum over its passes divided by the count of their terms. A pass
// without a term is not computed.
struct Objective {
  std::string_view name;
  // How many terms a sample adds to the mean.
  int64_t (*terms)(const SampleView& sample);
  // The sum of the losses of a pass: () float32, with its graph.
  at::Tensor (*loss)(LlamaForCausalLM& model, const Dataset& data, const Pass& pass, ExecutionPlan plan);
  // Adds the same sum to evaluation.loss, and to evaluation's other members what the objective reports beside it.
  void (*evaluate)(LlamaForCausalLM& model, const Dataset& data, const Pass& pass, ExecutionPlan plan,
                   Evaluation& evaluation);
};

// The names of the table.
const Names& objective_names();

// Throws Error (exit code 2) for a name that the table does not have.
const Objective& find_objective(const std::string& name);

// The objective that fits the model's head: sequence_classification where it has labels, else causal_lm.
const Objective& objective_of(const LlamaForCausalLM& model);

// The terms of several samples.
int64_t count_terms(const Objective& objective, const Dataset& data, std::span<const int64_t> samples);

// For objectives whose terms are the supervised tokens: how many a sample has, and LlamaForCausalLM::loss_sum of a
// pass.
int64_t supervised_tokens(const SampleView& sample);
at::Tensor supervised_loss(LlamaForCausalLM& model, const Dataset& data, const Pass& pass, ExecutionPlan plan);

}  // namespace lora
