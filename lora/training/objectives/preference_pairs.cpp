// Objectives on pairs of answers. Each is a loss of the log-probabilities of a pair's answers, as TRL 1.16 computes it:
//
//   dpo    Rafailov et al. 2023, and by `loss` hinge (Zhao et al. 2023), robust (Chowdhury et al. 2024), ipo, apo_zero
//          and apo_down (D'Oosterlinck et al. 2024), sigmoid_norm (dpo of means over tokens)
//   ipo    Azar et al. 2023, of means over tokens
//   orpo   Hong et al. 2024: without a reference; the chosen text's likelihood, prompt and answer, and an odds ratio
//   cpo    Xu et al. 2024: without a reference; the chosen answer's likelihood beside dpo's loss, or hinge's
//   simpo  Meng et al. 2024: without a reference; means over tokens, and a margin

#include <ATen/ATen.h>

#include <cmath>

#include "lora/training/answer_batch.h"
#include "lora/training/objectives/objectives.h"

namespace lora {
namespace {

// Of the pairs of a pass, (n) float64 each.
struct Pairs {
  at::Tensor chosen, rejected;                      // log-probabilities: sums, or means where the objective has means
  at::Tensor chosen_length, rejected_length;        // tokens
  at::Tensor reference_chosen, reference_rejected;  // sums; undefined without a reference
  at::Tensor chosen_ratio() const { return chosen - reference_chosen; }
  at::Tensor rejected_ratio() const { return rejected - reference_rejected; }
};

struct PairKind {
  std::string_view name;
  bool has_reference;
  bool means;                                                                // log-probabilities are means over tokens
  bool counts_prompts;                                                       // in the chosen text's likelihood
  at::Tensor (*losses)(const Pairs& pairs, const PreferenceConfig& config);  // (n)
  // The weight of the mean negative log-likelihood of the chosen texts' tokens.
  double (*likelihood_weight)(const PreferenceConfig& config);
};

at::Tensor smoothed(const at::Tensor& logits, double smoothing) {
  const at::Tensor loss = -at::log_sigmoid(logits) * (1 - smoothing);
  return smoothing == 0 ? loss : loss - at::log_sigmoid(-logits) * smoothing;
}

at::Tensor ipo_losses(const Pairs& p, const PreferenceConfig& config) {
  const at::Tensor difference = p.chosen_ratio() / p.chosen_length - p.rejected_ratio() / p.rejected_length;
  return (difference - 1 / (2 * config.beta)).square();
}

at::Tensor dpo_losses(const Pairs& p, const PreferenceConfig& config) {
  const at::Tensor difference = config.beta * (p.chosen_ratio() - p.rejected_ratio());
  switch (config.loss) {
    case PairLoss::kSigmoid:
      return -at::log_sigmoid(difference);
    case PairLoss::kHinge:
      return at::relu(1 - difference);
    case PairLoss::kRobust: {
      const double flipped = config.label_smoothing;
      return (-at::log_sigmoid(difference) * (1 - flipped) + at::log_sigmoid(-difference) * flipped) /
             (1 - 2 * flipped);
    }
    case PairLoss::kIpo:
      return ipo_losses(p, config);
    case PairLoss::kApoZero:
      return 1 - at::sigmoid(config.beta * p.chosen_ratio()) + at::sigmoid(config.beta * p.rejected_ratio());
    case PairLoss::kApoDown:
      return at::sigmoid(config.beta * p.chosen_ratio()) + 1 - at::sigmoid(difference);
    case PairLoss::kSigmoidNorm:
      return -at::log_sigmoid(config.beta *
                              (p.chosen_ratio() / p.chosen_length - p.rejected_ratio() / p.rejected_length));
  }
  return {};
}

// log(1 − eˣ) for x < 0 (Mächler 2012, eq. 7).
at::Tensor log1mexp(const at::Tensor& x) {
  return at::where(x > -std::log(2.0), (-x.expm1()).log(), (-x.exp()).log1p());
}

at::Tensor log_odds(const Pairs& p) { return p.chosen - p.rejected - (log1mexp(p.chosen) - log1mexp(p.rejected)); }

at::Tensor orpo_losses(const Pairs& p, const PreferenceConfig& config) {
  return -config.beta * at::log_sigmoid(log_odds(p));
}

at::Tensor cpo_losses(const Pairs& p, const PreferenceConfig& config) {
  const at::Tensor difference = config.beta * (p.chosen - p.rejected);
  return config.loss == PairLoss::kHinge ? at::relu(1 - difference) : smoothed(difference, config.label_smoothing);
}

at::Tensor simpo_losses(const Pairs& p, const PreferenceConfig& config) {
  return smoothed(config.beta * (p.chosen - p.rejected) - config.simpo_gamma, config.label_smoothing);
}

double sft_weight(const PreferenceConfig& config) { return config.sft_weight; }

constexpr PairKind kKinds[] = {
    {"dpo", true, false, false, dpo_losses, sft_weight},
    {"ipo", true, false, false, ipo_losses, sft_weight},
    {"orpo", false, true, true, orpo_losses, [](const PreferenceConfig&) { return 1.0; }},
    {"cpo", false, false, false, cpo_losses,
     [](const PreferenceConfig& config) { return config.cpo_alpha.value_or(1); }},
    {"simpo", false, true, false, simpo_losses,
     [](const PreferenceConfig& config) { return config.cpo_alpha.value_or(0); }},
};

class PairObjective final : public Objective {
 public:
  PairObjective(const PairKind& kind, const PreferenceConfig& config)
      : kind_(kind), config_(config), weight_(kind.likelihood_weight(config)) {}

  Terms terms(const SampleView& sample) const override {
    const auto second = sample.fork.second;
    if (kind_.counts_prompts) return {.units = 1, .tokens = second - 1};
    SampleView chosen = sample;
    chosen.supervised = sample.supervised.first(static_cast<size_t>(second));
    return {.units = 1, .tokens = supervised_tokens(chosen)};
  }

  PassBatch batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& pass) const override {
    return {.answers = answer_batch(model, data, pass, options())};
  }

  at::Tensor loss(LlamaForCausalLM& model, const PassInput& input, const Whole& whole,
                  Measures& measures) const override {
    const AnswerBatch batch = batch_of(model, input).answers;
    const at::Tensor sums = answer_log_probabilities(model, batch, input.plan);
    const int64_t n = std::ssize(input.pass);
    const auto halves = [&](const at::Tensor& x) { return std::pair(x.narrow(0, 0, n), x.narrow(0, n, n)); };
    Pairs pairs;
    std::tie(pairs.chosen, pairs.rejected) = halves(kind_.means ? sums / batch.lengths : sums);
    std::tie(pairs.chosen_length, pairs.rejected_length) = halves(batch.lengths);
    if (kind_.has_reference) {
      pairs.reference_chosen = reference(input, input.reference.first, sums);
      pairs.reference_rejected = reference(input, input.reference.second, sums);
    }
    at::Tensor loss = kind_.losses(pairs, config_).sum() / static_cast<double>(whole.terms.units);
    if (weight_ != 0) {
      at::Tensor likelihood = halves(sums).first.sum();
      if (kind_.counts_prompts) likelihood = likelihood + sums[2 * n];
      const auto tokens = static_cast<double>(whole.terms.tokens);
      loss = loss - weight_ * likelihood / tokens;
      measures.add("nll_loss", -likelihood.detach(), count_terms(*this, input.data, input.pass).tokens);
    }
    measure(pairs, measures);
    return loss.to(at::kFloat);
  }

  bool needs_reference() const override { return kind_.has_reference; }
  std::pair<at::Tensor, at::Tensor> reference_of(LlamaForCausalLM& model, const Dataset& data, const Pass& pass,
                                                 ExecutionPlan plan) const override {
    const at::Tensor sums = answer_log_probabilities(model, answer_batch(model, data, pass, options()), plan);
    const int64_t n = std::ssize(pass);
    return {sums.narrow(0, 0, n), sums.narrow(0, n, n)};
  }

 private:
  AnswerOptions options() const {
    return {.share_prompt = config_.share_prompt, .count_prompts = kind_.counts_prompts};
  }

  static at::Tensor reference(const PassInput& input, const std::vector<double>& all, const at::Tensor& like) {
    return values_of(
        input.pass, [&](int64_t sample) { return all[static_cast<size_t>(sample)]; }, like);
  }

  void measure(const Pairs& pairs, Measures& measures) const {
    const at::NoGradGuard no_grad;
    const int64_t n = pairs.chosen.size(0);
    const auto add = [&](std::string_view name, const at::Tensor& of_pairs) { measures.add(name, of_pairs.sum(), n); };
    const at::Tensor chosen = config_.beta * (kind_.has_reference ? pairs.chosen_ratio() : pairs.chosen);
    const at::Tensor rejected = config_.beta * (kind_.has_reference ? pairs.rejected_ratio() : pairs.rejected);
    add("rewards/chosen", chosen);
    add("rewards/rejected", rejected);
    add("rewards/accuracies", (chosen > rejected).to(at::kDouble));
    add("rewards/margins", chosen - rejected);
    add("logps/chosen", pairs.chosen);
    add("logps/rejected", pairs.rejected);
    if (kind_.losses != orpo_losses) return;
    const at::Tensor odds = log_odds(pairs);
    add("log_odds_chosen", odds);
    add("log_odds_ratio", at::log_sigmoid(odds));
  }

  const PairKind& kind_;
  PreferenceConfig config_;
  double weight_;
};

template <size_t index>
std::unique_ptr<Objective> make_pairs(const TrainingConfig& config) {
  return std::make_unique<PairObjective>(kKinds[index], config.preference);
}

template <size_t... index>
std::vector<ObjectiveRow> pair_rows(std::index_sequence<index...>) {
  std::vector<ObjectiveRow> rows = {
      {.name = kKinds[index].name, .trains = Trains::kPair, .measures = {}, .make = make_pairs<index>}...};
  for (ObjectiveRow& row : rows) {
    row.measures = {"rewards/chosen",  "rewards/rejected", "rewards/accuracies",
                    "rewards/margins", "logps/chosen",     "logps/rejected"};
  }
  return rows;
}

}  // namespace

std::vector<ObjectiveRow> pair_objectives() { return pair_rows(std::make_index_sequence<std::size(kKinds)>()); }

}  // namespace lora
