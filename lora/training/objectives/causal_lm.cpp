#include "lora/training/evaluation.h"
#include "lora/training/objectives/objectives.h"

namespace lora {
namespace {

void evaluate_causal_lm(LlamaForCausalLM& model, const Dataset& data, const Pass& pass, ExecutionPlan plan,
                        Evaluation& evaluation) {
  evaluation.loss += supervised_loss(model, data, pass, plan).item<double>();
}

}  // namespace

const Objective kCausalLm{
    .name = "causal_lm", .terms = supervised_tokens, .loss = supervised_loss, .evaluate = evaluate_causal_lm};

}  // namespace lora
