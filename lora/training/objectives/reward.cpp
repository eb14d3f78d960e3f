#include <ATen/ATen.h>

#include "lora/training/answer_batch.h"
#include "lora/training/objectives/objectives.h"

namespace lora {
namespace {

// A text's reward is the head's one output at its last token.
class Reward final : public Objective {
 public:
  explicit Reward(const PreferenceConfig& config) : config_(config) {}

  Terms terms(const SampleView& sample) const override { return {.units = 1, .tokens = supervised_tokens(sample)}; }

  PassBatch batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& pass) const override {
    return {.answers = answer_batch(model, data, pass, {.share_prompt = config_.share_prompt, .count_prompts = false})};
  }

  at::Tensor loss(LlamaForCausalLM& model, const PassInput& input, const Whole& whole,
                  Measures& measures) const override {
    const AnswerBatch batch = batch_of(model, input).answers;
    const at::Tensor rewards = model.logits_at(batch.tokens, batch.ends, input.plan).squeeze(1).to(at::kDouble);
    const int64_t n = std::ssize(input.pass);
    const at::Tensor chosen = rewards.narrow(0, 0, n), rejected = rewards.narrow(0, n, n);
    const at::Tensor margin = values_of(
        input.pass, [&](int64_t sample) { return input.data[sample].value; }, rewards);
    at::Tensor losses = -at::log_sigmoid(chosen - rejected - margin);
    if (config_.center_rewards_coefficient != 0) {
      losses = losses + config_.center_rewards_coefficient * (chosen + rejected).square();
    }
    const auto add = [&](std::string_view name, const at::Tensor& x) {
      measures.add(name, x.detach().sum(), x.size(0));
    };
    add("accuracy", (chosen > rejected).to(at::kDouble));
    add("margin", chosen - rejected);
    add("mean_reward", rewards);
    return (losses.sum() / static_cast<double>(whole.terms.units)).to(at::kFloat);
  }

 private:
  PreferenceConfig config_;
};

}  // namespace

ObjectiveRow reward_objective() {
  return {.name = "reward",
          .trains = Trains::kPair,
          .rewards = true,
          .measures = {"accuracy", "margin", "mean_reward"},
          .make = [](const TrainingConfig& config) -> std::unique_ptr<Objective> {
            return std::make_unique<Reward>(config.preference);
          }};
}

}  // namespace lora
