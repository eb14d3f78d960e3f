#include <ATen/ATen.h>

#include "lora/training/evaluation.h"
#include "lora/training/objectives/objectives.h"

namespace lora {
namespace {

void evaluate_classification(LlamaForCausalLM& model, const Dataset& data, const Pass& pass, ExecutionPlan plan,
                             Evaluation& evaluation) {
  const TrainBatch batch = pass_batch(model, data, pass);
  const at::Tensor ends = (batch.targets != kIgnoredTarget).nonzero().squeeze(1);
  const at::Tensor expected = batch.targets.index_select(0, ends), logits = model.logits_at(batch.tokens, ends, plan);
  const at::Tensor labels = expected.cpu(), predicted = logits.argmax(1).cpu();
  for (int64_t i = 0; i < labels.size(0); ++i) {
    evaluation.confusion.add(labels.const_data_ptr<int64_t>()[i], predicted.const_data_ptr<int64_t>()[i]);
  }
  evaluation.loss += at::cross_entropy_loss(logits, expected, /*weight=*/{}, at::Reduction::Sum).item<double>();
}

}  // namespace

const Objective kSequenceClassification{.name = "sequence_classification",
                                        .terms = supervised_tokens,  // a sample's last token, where the label is read
                                        .loss = supervised_loss,
                                        .evaluate = evaluate_classification};

}  // namespace lora
