#pragma once
// What a pass of samples contributes to the loss, and what the sum is divided by. An objective is a file in objectives/
// and a row of the table in objectives/objectives.h.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lora/training/answer_batch.h"
#include "lora/training/config.h"
#include "lora/training/measures.h"
#include "lora/training/passes.h"
#include "lora/training/replicas.h"
#include "models/base/names.h"
#include "models/engine/execution_plan.h"

namespace lora {

struct Evaluation;

// What samples add to the means of a loss.
struct Terms {
  int64_t units = 0;   // rows, or pairs
  int64_t tokens = 0;  // whose losses are averaged
  Terms& operator+=(const Terms& other);
};

// The log-probabilities of a dataset's answers under the model that training begins from, by sample. Empty where the
// objective compares with none.
struct Reference {
  std::vector<double> first;   // of a pair the chosen answer; else the answer
  std::vector<double> second;  // of a pair the rejected answer; else another row's answer to the same prompt (KTO)
  bool empty() const { return first.empty(); }
};

// The tensors of a pass, those that its objective reads: texts with their targets, or answers.
struct PassBatch {
  TrainBatch text = {};
  AnswerBatch answers = {};
};

// One forward pass over samples of a step or of a validation set.
struct PassInput {
  const Dataset& data;
  const Reference& reference;  // of `data`
  const Pass& pass;
  ExecutionPlan plan;
  const PassBatch* batch = nullptr;  // Objective::batch() of the pass, made ahead; null: it is made when it is read
};

// What the loss of a pass depends on beside its own samples.
struct Whole {
  Terms terms;        // of all samples of the step or set
  double shared = 0;  // the sum of shared_part() over all passes
};

// The loss of a step, or of a validation set, is the sum of its passes' losses. A pass without a term is not computed.
class Objective {
 public:
  virtual ~Objective() = default;

  virtual Terms terms(const SampleView& sample) const = 0;
  // The tensors that loss() reads, on the model's device but for the targets of texts. They depend on the samples alone.
  virtual PassBatch batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& pass) const;
  // The part of a pass in the loss, which is divided by the terms of the whole already: () float32, with its graph.
  virtual at::Tensor loss(LlamaForCausalLM& model, const PassInput& input, const Whole& whole,
                          Measures& measures) const = 0;
  // Adds the same to evaluation.loss, and what the objective reports beside it.
  virtual void evaluate(LlamaForCausalLM& model, const PassInput& input, const Whole& whole,
                        Evaluation& evaluation) const;

  // What follows from means over all passes, after the last one.
  virtual void complete(Measures&) const {}

  // Whether loss() reads PassInput::reference.
  virtual bool needs_reference() const { return false; }
  // The reference of the pass's samples, two values each, by the model as it is.
  virtual std::pair<at::Tensor, at::Tensor> reference_of(LlamaForCausalLM& model, const Dataset& data, const Pass& pass,
                                                         ExecutionPlan plan) const;

  // Whether the loss of each pass needs a number that is summed over all of them first, and this pass's part of it: ()
  // float64.
  virtual bool has_shared_part() const { return false; }
  virtual at::Tensor shared_part(LlamaForCausalLM& model, const PassInput& input, const Terms& of_whole) const;

 protected:
  PassBatch batch_of(const LlamaForCausalLM& model, const PassInput& input) const;
};

// A row of the table.
struct ObjectiveRow {
  std::string_view name;
  Trains trains = Trains::kText;  // what it learns from a row
  bool rewards = false;           // the head has one output, a text's reward, and no labels
  // The names of Measures that it fills in, which training.best_by may name.
  std::vector<std::string_view> measures = {};
  std::unique_ptr<Objective> (*make)(const TrainingConfig& config);
};

// The names of the table.
const Names& objective_names();

// Throws Error (exit code 2) for a name that the table does not have.
const ObjectiveRow& find_objective(const std::string& name);

// Whether the config's objective compares with the model that training begins from.
bool compares_with_start(const TrainingConfig& config);

// The objective of the run: sequence_classification where the model has labels and the config asks for causal_lm, else
// the config's.
std::unique_ptr<Objective> make_objective(const TrainingConfig& config, const LlamaForCausalLM& model);

// The terms of several samples.
Terms count_terms(const Objective& objective, const Dataset& data, std::span<const int64_t> samples);

// For objectives whose terms are the supervised tokens: how many a sample has, and LlamaForCausalLM::loss_sum of a
// pass.
int64_t supervised_tokens(const SampleView& sample);
at::Tensor supervised_loss(LlamaForCausalLM& model, const TrainBatch& text, ExecutionPlan plan);

// The terms of the whole, and where the objective has one the sum of shared_part() over those passes that have a term:
// `passes` of this replica and those of the others. `before`: is called with the index of each pass before it.
Whole whole_of(const Objective& objective, LlamaForCausalLM& model, const Dataset& data, const Reference& reference,
               const Terms& terms, std::span<const Pass> passes, ExecutionPlan plan, Replicas& replicas = alone(),
               const std::function<void(size_t pass)>& before = {});

}  // namespace lora
