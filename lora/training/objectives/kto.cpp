// KTO (Ethayarajh et al. 2024, eq. 7): answers that are marked good or not, weighed against how far the model has moved
// from its reference, and apo_zero's form of it without that (D'Oosterlinck et al. 2024). As in TRL 1.16.

#include <ATen/ATen.h>

#include <algorithm>

#include "lora/training/answer_batch.h"
#include "lora/training/objectives/objectives.h"

namespace lora {
namespace {

class Kto final : public Objective {
 public:
  explicit Kto(const TrainingConfig& config) : config_(config.preference), batch_size_(config.batch_size) {}

  Terms terms(const SampleView& sample) const override { return {.units = 1, .tokens = supervised_tokens(sample)}; }

  PassBatch batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& pass) const override {
    return {.answers = answer_batch(model, data, pass)};
  }

  bool needs_reference() const override { return true; }
  std::pair<at::Tensor, at::Tensor> reference_of(LlamaForCausalLM& model, const Dataset& data, const Pass& pass,
                                                 ExecutionPlan plan) const override {
    const at::Tensor own = answer_log_probabilities(model, answer_batch(model, data, pass), plan);
    return {own, has_shared_part() ? exchanged(model, data, pass, plan) : at::zeros_like(own)};
  }

  // The divergence from the reference is estimated from answers to other prompts, over the whole step.
  bool has_shared_part() const override { return config_.loss != PairLoss::kApoZero; }
  at::Tensor shared_part(LlamaForCausalLM& model, const PassInput& input, const Terms& of_whole) const override {
    const at::NoGradGuard no_grad;
    const at::Tensor now = exchanged(model, input.data, input.pass, input.plan);
    return (now - values(input, input.reference.second, now)).sum() / static_cast<double>(of_whole.units);
  }

  at::Tensor loss(LlamaForCausalLM& model, const PassInput& input, const Whole& whole,
                  Measures& measures) const override {
    const at::Tensor log_p = answer_log_probabilities(model, batch_of(model, input).answers, input.plan);
    const at::Tensor ratio = log_p - values(input, input.reference.first, log_p);
    const double divergence = std::max(0.0, whole.shared);
    const at::Tensor good = values_of(
        input.pass, [&](int64_t sample) { return input.data[sample].value; }, ratio);
    const at::Tensor bad = 1 - good;
    const at::Tensor distance = config_.beta * (ratio - divergence);
    const at::Tensor losses = config_.desirable_weight * good * (1 - at::sigmoid(distance)) +
                              config_.undesirable_weight * bad * (1 - at::sigmoid(-distance));
    double marked_good = 0;
    for (const int64_t sample : input.pass) marked_good += input.data[sample].value;
    measure(ratio.detach(), log_p.detach(), good, static_cast<int64_t>(marked_good), divergence, measures);
    return (losses.sum() / static_cast<double>(whole.terms.units)).to(at::kFloat);
  }

  void complete(Measures& measures) const override {
    const Measures::Mean *chosen = measures.find("rewards/chosen"), *rejected = measures.find("rewards/rejected");
    if (chosen && rejected) measures.set("rewards/margins", chosen->value() - rejected->value());
  }

 private:
  // The answer of another row to each row's prompt: of the row before it, among batch_size rows of the data in a row.
  at::Tensor exchanged(LlamaForCausalLM& model, const Dataset& data, const Pass& pass, ExecutionPlan plan) const {
    Pass others;
    for (const int64_t sample : pass) {
      const int64_t first = sample / batch_size_ * batch_size_, last = std::min(first + batch_size_, data.size()) - 1;
      // The last row may be alone in its group.
      const bool alone = first == last && first > 0;
      others.push_back(sample > first || alone ? sample - 1 : last);
    }
    return answer_log_probabilities(model, exchanged_batch(model, data, pass, others), plan);
  }

  static at::Tensor values(const PassInput& input, const std::vector<double>& all, const at::Tensor& like) {
    return values_of(
        input.pass, [&](int64_t sample) { return all[static_cast<size_t>(sample)]; }, like);
  }

  // `marked_good`: how many of `good` are 1.
  void measure(const at::Tensor& ratio, const at::Tensor& log_p, const at::Tensor& good, int64_t marked_good,
               double divergence, Measures& measures) const {
    for (const bool chosen : {true, false}) {
      const at::Tensor of = chosen ? good : 1 - good;
      const int64_t count = chosen ? marked_good : good.size(0) - marked_good;
      const auto add = [&](const std::string& name, const at::Tensor& x) {
        measures.add(name + (chosen ? "chosen" : "rejected"), (x * of).sum(), count);
      };
      add("rewards/", config_.beta * ratio);
      add("logps/", log_p);
    }
    if (has_shared_part()) measures.set("kl", divergence);
  }

  PreferenceConfig config_;
  int64_t batch_size_;
};

}  // namespace

ObjectiveRow kto_objective() {
  return {
      .name = "kto",
      .trains = Trains::kMark,
      .measures = {"rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected", "kl"},
      .make = [](const TrainingConfig& config) -> std::unique_ptr<Objective> { return std::make_unique<Kto>(config); }};
}

}  // namespace lora
