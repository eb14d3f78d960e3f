// Steps whose loss or gradient is not finite: skipped, counted, and too many in a row end the run.

#include <limits>
#include <set>

#include "lora/training/trainer.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/training/small_run.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

constexpr auto kInfinity = std::numeric_limits<float>::infinity();

// Puts an infinity into one gradient of the given steps, counted from 1.
struct BadGradients : TrainingHooks {
  BadGradients(Trainer& which_trainer, std::set<int> which) : trainer(which_trainer), steps(std::move(which)) {}
  void after_backward(Readings&) override {
    if (steps.contains(++step)) trainer.optimizer().gradients().front().view(-1)[3] = kInfinity;
  }
  Trainer& trainer;
  std::set<int> steps;
  int step = 0;
};

struct BadFixture : Fixture {
  BadFixture(const TrainingConfig& config, std::set<int> which, double dropout = 0) : Fixture(config, dropout) {
    trainer->set_hooks(std::make_unique<BadGradients>(*trainer, std::move(which)));
  }
};

TrainingConfig config_of(int64_t max_nonfinite_steps) {
  TrainingConfig config = base_config();
  config.max_steps = 12;
  config.max_nonfinite_steps = max_nonfinite_steps;
  return config;
}

}  // namespace

TEST_CASE("B: one Inf gradient is skipped and counted, and the next step is trained") {
  BadFixture run(config_of(3), {3});
  const StepMetrics first = run.trainer->step();
  CHECK_FALSE(first.skipped);
  CHECK_FALSE(run.trainer->step().skipped);
  const auto before = run.weights();
  std::vector<at::Tensor> moments;
  for (const auto& [name, tensor] : run.trainer->optimizer().state()) moments.push_back(tensor.clone());
  const StepMetrics bad = run.trainer->step();
  CHECK(bad.skipped);
  CHECK(bad.step == 3);
  CHECK(distance(run.weights(), before) == 0);
  size_t i = 0;
  for (const auto& [name, tensor] : run.trainer->optimizer().state()) CHECK(at::equal(tensor, moments[i++]));
  CHECK(run.trainer->progress().skipped_steps == 1);
  CHECK(run.trainer->progress().skipped_in_row == 1);
  CHECK_FALSE(run.trainer->step().skipped);
  CHECK(run.trainer->progress().skipped_in_row == 0);
  CHECK(distance(run.weights(), before) > 0);
  CHECK(run.trainer->step().loss < first.loss);
}

TEST_CASE("B: one Inf gradient skipped: a resumed run has the bits of one that never stopped") {
  BadFixture whole(config_of(3), {2, 5}, 0.2);
  for (int i = 0; i < 8; ++i) whole.trainer->step();
  BadFixture first(config_of(3), {2, 5}, 0.2);
  for (int i = 0; i < 5; ++i) first.trainer->step();
  Fixture second(config_of(3), 0.2);
  {
    const at::NoGradGuard no_grad;
    const auto from = trainable_parameters(*first.model), to = trainable_parameters(*second.model);
    for (size_t i = 0; i < from.size(); ++i) at::Tensor(to[i].tensor).copy_(from[i].tensor);
    const auto moments = first.trainer->optimizer().state(), copies = second.trainer->optimizer().state();
    for (size_t i = 0; i < moments.size(); ++i) at::Tensor(copies[i].second).copy_(moments[i].second);
  }
  second.trainer->resume(first.trainer->progress());
  for (int i = 5; i < 8; ++i) second.trainer->step();
  CHECK(distance(second.weights(), whole.weights()) == 0);
}

TEST_CASE("B: repeated non-finite steps end the run") {
  BadFixture run(config_of(2), {2, 4, 5, 6});
  for (int i = 0; i < 5; ++i) run.trainer->step();
  const auto before = run.weights();
  CHECK_THROWS_WITH(run.trainer->step(), Contains("step 6: ") && Contains("The 2 steps before were skipped"));
  CHECK(run.trainer->progress().step == 5);
  CHECK(distance(run.weights(), before) == 0);
  BadFixture strict(config_of(0), {1});
  CHECK_THROWS_AS(strict.trainer->step(), NumericsError);
}

TEST_CASE("B: an update that overflows ends the run before anything is written") {
  TrainingConfig config = config_of(3);
  config.learning_rate = 1e38;
  Fixture run(config);
  run.trainer->expect_finite_weights();
  run.trainer->step();
  CHECK_THROWS_WITH(run.trainer->expect_finite_weights(),
                    Contains("step 1: The last update made") && Contains("overflow"));
  CHECK_THROWS_WITH(run.trainer->step(), Contains("step 2: loss is") && Contains("The last update made"));
}
