// The objectives on preferences: their values, that a prompt is computed once, that a split changes nothing.

#include <cmath>

#include "lora/training/answer_batch.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/training/preference_run.h"

using namespace lora;
using namespace lora::test;

namespace {

// log p of the targets of one text, each after those before it.
double plain_log_p(LlamaForCausalLM& model, const std::vector<int64_t>& ids, size_t from) {
  const at::NoGradGuard no_grad;
  const at::Tensor log_p =
      at::log_softmax(model.forward(at::tensor(ids, at::kLong).unsqueeze(0))[0].to(at::kDouble), -1);
  double sum = 0;
  for (size_t t = from; t < ids.size(); ++t) sum += log_p[static_cast<int64_t>(t) - 1][ids[t]].item<double>();
  return sum;
}

}  // namespace

TEST_CASE("an answer's log-probability is that of its tokens after the prompt, computed alone") {
  PreferenceRun run(preference_config("dpo"));
  run.model->eval();
  const at::NoGradGuard no_grad;
  const Pass pass = {4, 0, 7};
  for (const bool share : {true, false}) {
    const at::Tensor found =
        answer_log_probabilities(*run.model, answer_batch(*run.model, run.train, pass, {.share_prompt = share}), {});
    for (size_t i = 0; i < pass.size(); ++i) {
      const SampleView sample = run.train[pass[i]];
      const auto prompt = sample.fork.prompt, second = sample.fork.second;
      std::vector<int64_t> chosen(sample.ids.begin(), sample.ids.begin() + second);
      std::vector<int64_t> rejected(sample.ids.begin(), sample.ids.begin() + prompt);
      rejected.insert(rejected.end(), sample.ids.begin() + second, sample.ids.end());
      const auto from = static_cast<size_t>(prompt);
      const auto at = static_cast<int64_t>(i);
      CHECK(found[at].item<double>() == Approx(plain_log_p(*run.model, chosen, from)).margin(1e-4));
      CHECK(found[3 + at].item<double>() == Approx(plain_log_p(*run.model, rejected, from)).margin(1e-4));
    }
  }
}

TEST_CASE("dpo of a policy that is its reference has the loss log 2, and a margin grows in training") {
  TrainingConfig config = preference_config("dpo");
  config.max_steps = 12;
  config.batch_size = 12;
  PreferenceRun run(config);
  Reference here = compute_reference(*run.model, run.trainer->objective(), run.train, config, {});
  run.trainer->set_references(here, here);
  const Evaluation before = run.trainer->evaluate();
  CHECK(before.loss == Approx(std::log(2.0)).margin(1e-6));
  CHECK(before.measures.find("rewards/margins")->value() == Approx(0).margin(1e-6));
  for (int step = 0; step < 12; ++step) run.trainer->step();
  const Evaluation after = run.trainer->evaluate();
  CHECK(after.loss < 0.9 * before.loss);
  CHECK(after.measures.find("rewards/margins")->value() > 0.1);
  CHECK(after.measures.find("rewards/accuracies")->value() == 1);
}

TEST_CASE("a step's update is the same however its pairs are split, and whether prompts are shared or not") {
  for (const std::string objective : {"dpo", "ipo", "orpo", "cpo", "simpo", "kto"}) {
    DYNAMIC_SECTION(objective) {
      TrainingConfig config = preference_config(objective);
      config.preference.sft_weight = objective == "dpo" ? 0.5 : 0;
      PreferenceRun whole(config);
      config.micro_batch_size = 1;
      PreferenceRun split(config);
      config.micro_batch_size.reset();
      config.preference.share_prompt = false;
      PreferenceRun apart(config);
      config.fused = false;
      PreferenceRun plain(config);
      for (int step = 0; step < 3; ++step) {
        const StepMetrics a = whole.trainer->step();
        for (PreferenceRun* other : {&split, &apart, &plain}) {
          const StepMetrics b = other->trainer->step();
          CHECK(b.loss == Approx(a.loss).epsilon(1e-5));
          CHECK(b.grad_norm == Approx(a.grad_norm).epsilon(1e-4));
          for (const Measures::Mean& mean : a.measures.means()) {
            CHECK(other->trainer->progress().step == step + 1);
            CHECK(b.measures.find(mean.name)->value() == Approx(mean.value()).epsilon(1e-4).margin(1e-5));
          }
        }
      }
      CHECK(distance(whole.weights(), split.weights()) < 1e-4);
      CHECK(distance(whole.weights(), apart.weights()) < 1e-4);
    }
  }
}

TEST_CASE("the gradient of a preference loss is that of differences") {
  for (const std::string objective : {"dpo", "orpo", "simpo", "kto"}) {
    DYNAMIC_SECTION(objective) {
      TrainingConfig config = preference_config(objective);
      PreferenceRun run(config);
      const Objective& what = run.trainer->objective();
      Reference reference;
      if (what.needs_reference()) reference = compute_reference(*run.model, what, run.train, config, {});
      const Pass pass = {0, 1, 2, 3};
      const Terms terms = count_terms(what, run.train, pass);
      const Whole whole = whole_of(what, *run.model, run.train, reference, terms, std::vector<Pass>{pass}, {});
      const auto loss = [&] {
        Measures measures;
        return what.loss(*run.model, {run.train, reference, pass, {}}, whole, measures);
      };
      at::Tensor parameter = trainable_parameters(*run.model).front().tensor;
      loss().backward();
      const at::Tensor& gradient = parameter.grad();
      const at::NoGradGuard no_grad;
      const at::Tensor direction = gradient / gradient.norm();
      const double step = 1e-2;
      parameter.add_(direction, step);
      const double up = loss().item<double>();
      parameter.add_(direction, -2 * step);
      const double down = loss().item<double>();
      CHECK((up - down) / (2 * step) == Approx(gradient.norm().item<double>()).epsilon(0.02));
    }
  }
}
