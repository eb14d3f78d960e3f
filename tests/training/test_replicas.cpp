// Trainers that share the passes of a step.

#include "lora/training/replicas.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "lora/training/loop.h"
#include "tests/catch.h"
#include "tests/training/meeting.h"
#include "tests/training/small_run.h"

using namespace lora;
using namespace lora::test;

namespace {

struct Trained {
  std::vector<at::Tensor> weights;
  std::vector<StepMetrics> steps;
  std::vector<double> evaluations;
  LoopEnd end = LoopEnd::kDone;
};

// Replica 0 is asked to stop after its fourth step.
Trained trained(const TrainingConfig& config, const std::shared_ptr<Replicas>& replicas) {
  Fixture run(config, 0, false, replicas);
  Trained result;
  LoopEvents events;
  events.on_step = [&](const StepMetrics& metrics) { result.steps.push_back(metrics); };
  events.on_evaluation = [&](const Evaluation& one, bool) { result.evaluations.push_back(one.loss); };
  events.save = [] {};
  events.stop_requested = [&] {
    return agree_on_signal(*replicas, replicas->rank() == 0 && result.steps.size() == 4 ? 15 : 0) != 0;
  };
  result.end = run_loop(*run.trainer, config, events);
  result.weights = run.weights();
  return result;
}

}  // namespace

TEST_CASE("replicas that share a step's passes make the same bits as one that does all, and stop together") {
  TrainingConfig config = base_config();
  config.micro_batch_size = 1;  // five passes a step
  config.eval_every = 2;
  const Trained whole = trained(config, std::make_shared<Replicas>());
  CHECK(whole.end == LoopEnd::kStopped);
  REQUIRE(whole.steps.size() == 4);
  for (const int64_t count : {2, 3, 5}) {
    std::vector<Trained> parts(static_cast<size_t>(count));
    run_together(count, [&](const std::shared_ptr<Replicas>& replicas) {
      parts[static_cast<size_t>(replicas->rank())] = trained(config, replicas);
    });
    CAPTURE(count);
    for (const Trained& part : parts) {
      CHECK(part.end == LoopEnd::kStopped);
      REQUIRE(part.steps.size() == whole.steps.size());
      for (size_t i = 0; i < whole.steps.size(); ++i) {
        CHECK(part.steps[i].loss == whole.steps[i].loss);
        CHECK(part.steps[i].grad_norm == whole.steps[i].grad_norm);
        CHECK(part.steps[i].tokens == whole.steps[i].tokens);
      }
      CHECK(part.evaluations == whole.evaluations);
      CHECK(distance(part.weights, whole.weights) == 0);
    }
  }
}

TEST_CASE("gathered values are any number, infinite ones too") {
  run_together(2, [&](const std::shared_ptr<Replicas>& replicas) {
    const double own = replicas->rank() == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
    const auto all = gather_values(*replicas, {own, 0.1 + static_cast<double>(replicas->rank())});
    const bool right = all.size() == 2 && std::isinf(all[0][0].get<double>()) && std::isnan(all[1][0].get<double>()) &&
                       all[0][1].get<double>() == 0.1 && all[1][1].get<double>() == 1.1;
    if (!right) std::abort();
  });
}
