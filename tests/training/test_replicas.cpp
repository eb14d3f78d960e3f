// Trainers that share the passes of a step.

#include "lora/training/replicas.h"

#include <barrier>
#include <thread>

#include "lora/training/loop.h"
#include "tests/catch.h"
#include "tests/training/small_run.h"

using namespace lora;
using namespace lora::test;

namespace {

// Where two trainers, each on a thread of its own, add up.
struct Meeting {
  std::barrier<> both{2};
  std::vector<at::Tensor> gradients[2];
  double losses[2] = {};
  bool asked[2] = {};
};

class OneOfTwo final : public Replicas {
 public:
  OneOfTwo(Meeting& meeting, int64_t rank) : meeting_(meeting), rank_(rank) {}
  int64_t rank() const override { return rank_; }
  int64_t count() const override { return 2; }
  double sum(const std::vector<at::Tensor>& gradients, double loss) override {
    meeting_.gradients[rank_].clear();
    for (const at::Tensor& gradient : gradients) meeting_.gradients[rank_].push_back(gradient.clone());
    meeting_.losses[rank_] = loss;
    meeting_.both.arrive_and_wait();
    for (size_t i = 0; i < gradients.size(); ++i) {
      at::Tensor(gradients[i]).copy_(meeting_.gradients[0][i] + meeting_.gradients[1][i]);
    }
    const double all = meeting_.losses[0] + meeting_.losses[1];
    meeting_.both.arrive_and_wait();
    return all;
  }
  bool agree_to_stop(bool asked) override {
    meeting_.asked[rank_] = asked;
    meeting_.both.arrive_and_wait();
    const bool any = meeting_.asked[0] || meeting_.asked[1];
    meeting_.both.arrive_and_wait();
    return any;
  }

 private:
  Meeting& meeting_;
  int64_t rank_;
};

}  // namespace

TEST_CASE("replicas that share a step's passes make the update of one that does all, and stop together") {
  TrainingConfig config = base_config();
  config.micro_batch_size = 1;
  Fixture alone(config);
  Meeting meeting;
  Fixture first(config, 0, false, std::make_shared<OneOfTwo>(meeting, 0));
  Fixture second(config, 0, false, std::make_shared<OneOfTwo>(meeting, 1));
  const auto train = [&](Fixture& run, bool asked, std::vector<StepMetrics>& steps) {
    LoopEvents events;
    events.on_step = [&](const StepMetrics& metrics) { steps.push_back(metrics); };
    events.on_evaluation = [](const Evaluation&, bool) {};
    events.save = [] {};
    events.stop_requested = [&] { return asked && steps.size() == 4; };
    return run_loop(*run.trainer, config, events);
  };
  std::vector<StepMetrics> whole, steps, others;
  std::thread other([&] { CHECK(train(second, false, others) == LoopEnd::kStopped); });
  CHECK(train(first, true, steps) == LoopEnd::kStopped);
  other.join();
  CHECK(train(alone, true, whole) == LoopEnd::kStopped);
  REQUIRE(steps.size() == whole.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    CHECK(steps[i].loss == Approx(whole[i].loss).epsilon(1e-6));
    CHECK(steps[i].loss == others[i].loss);
    CHECK(steps[i].tokens == whole[i].tokens);
  }
  CHECK(distance(first.weights(), second.weights()) == 0);
  CHECK(distance(first.weights(), alone.weights()) < 1e-5);
}
