#include <ATen/ATen.h>

#include "lora/training/evaluation.h"
#include "lora/training/objectives/objectives.h"
#include "models/engine/devices.h"

namespace lora {
namespace {

class SequenceClassification final : public Objective {
 public:
  // The supervised token is a sample's last, where the label is read.
  Terms terms(const SampleView& sample) const override { return {.units = 1, .tokens = supervised_tokens(sample)}; }

  at::Tensor loss(LlamaForCausalLM& model, const PassInput& input, const Whole& whole, Measures&) const override {
    return supervised_loss(model, batch_of(model, input).text, input.plan) / static_cast<double>(whole.terms.tokens);
  }

  void evaluate(LlamaForCausalLM& model, const PassInput& input, const Whole& whole,
                Evaluation& evaluation) const override {
    const TrainBatch batch = batch_of(model, input).text;
    const at::Tensor ends = (batch.targets != kIgnoredTarget).nonzero().squeeze(1);
    const at::Tensor expected = batch.targets.index_select(0, ends);
    const at::Tensor logits = model.logits_at(batch.tokens, on_device(ends, model.device()), input.plan).cpu();
    const at::Tensor predicted = logits.argmax(1);
    for (int64_t i = 0; i < expected.size(0); ++i) {
      evaluation.confusion.add(expected.const_data_ptr<int64_t>()[i], predicted.const_data_ptr<int64_t>()[i]);
    }
    evaluation.loss += at::cross_entropy_loss(logits, expected, /*weight=*/{}, at::Reduction::Sum).item<double>() /
                       static_cast<double>(whole.terms.tokens);
  }
};

}  // namespace

ObjectiveRow sequence_classification_objective() {
  return {.name = "sequence_classification",
          .trains = Trains::kLabel,
          .make = [](const TrainingConfig&) -> std::unique_ptr<Objective> {
            return std::make_unique<SequenceClassification>();
          }};
}

}  // namespace lora
