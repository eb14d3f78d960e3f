#include "lora/training/objectives/objectives.h"

namespace lora {
namespace {

class CausalLm final : public Objective {
 public:
  Terms terms(const SampleView& sample) const override { return {.units = 1, .tokens = supervised_tokens(sample)}; }
  at::Tensor loss(LlamaForCausalLM& model, const PassInput& input, const Whole& whole, Measures&) const override {
    return supervised_loss(model, batch_of(model, input).text, input.plan) / static_cast<double>(whole.terms.tokens);
  }
};

}  // namespace

ObjectiveRow causal_lm_objective() {
  return {.name = "causal_lm",
          .make = [](const TrainingConfig&) -> std::unique_ptr<Objective> { return std::make_unique<CausalLm>(); }};
}

}  // namespace lora
