// The rows of the next step, prepared while the device computes: when, and that none is lost or trained twice.

#include "lora/adapters/training_hooks.h"
#include "lora/checkpoints/training_state.h"
#include "lora/training/loop.h"
#include "tests/catch.h"
#include "tests/device/device_run.h"
#include "tests/temporary_directory.h"
#include "tests/training/preference_run.h"

using namespace lora;
using namespace lora::test;

namespace {

// Notes what the host copies to the device between a step's last computation and the host's wait for it.
class Watching final : public TrainingHooks {
 public:
  explicit Watching(std::vector<int64_t>& copied) : copied_(copied) {}
  void after_backward(Readings&) override { before_ = simulated_writes(); }
  void before_update() override { copied_.push_back(simulated_writes() - before_); }

 private:
  std::vector<int64_t>& copied_;
  int64_t before_ = 0;
};

TrainingConfig three_passes() {
  TrainingConfig config = base_config();
  config.max_steps = 7;
  config.micro_batch_size = 2;  // of five rows a step: three passes, and two of the three rows that end an epoch
  return config;
}

}  // namespace

TEST_CASE(
    "the next step's passes are copied to the device while it computes, but across an epoch's end and for no step") {
  const TrainingConfig config = three_passes();
  DeviceRun run(config, simulated_device()), other(config, simulated_device());
  std::vector<int64_t> copied, saved;
  run.trainer->set_hooks(std::make_unique<Watching>(copied));
  const auto copies_of_step = [](Trainer& trainer) {
    const int64_t before = simulated_writes();
    trainer.step();
    return simulated_writes() - before;
  };
  for (int i = 0; i < 7; ++i) {
    other.trainer->set_plan({.tokens = 1000 + i});  // changes no pass; what was prepared is of another plan
    saved.push_back(copies_of_step(*other.trainer) - copies_of_step(*run.trainer));
  }
  // 23 rows: five steps an epoch, the last of three rows.
  CHECK(copied == std::vector<int64_t>{3, 3, 3, 2, 0, 3, 0});
  CHECK(saved == std::vector<int64_t>{0, 3, 3, 3, 2, 0, 3});
}

TEST_CASE("rows that are prepared ahead change no bit, and a checkpoint knows nothing of them") {
  const TrainingConfig config = three_passes();
  DeviceRun whole(config, device);
  std::vector<double> losses;
  std::vector<RowPlace> places;
  for (int i = 0; i < 7; ++i) {
    losses.push_back(whole.trainer->step().loss);
    places.push_back(whole.trainer->progress().place);
  }
  for (int64_t i = 0; i < 7; ++i) CHECK(places[i] == RowPlace{i / 5, std::min<int64_t>(i % 5 * 5 + 5, 23)});
  for (int at = 1; at < 7; ++at) {
    INFO("stopped after step " << at);
    const TemporaryDirectory directory;
    DeviceRun parts(config, device), other(config, device);
    for (int i = 0; i < at; ++i) {
      parts.trainer->step();
      if (i == 1) parts.trainer->evaluate();  // in between
    }
    CHECK(parts.trainer->progress().place == places[at - 1]);
    write_training_state(directory.path(), parts.adapted, *parts.trainer, "base", "");
    other.trainer->step();  // its prepared rows are of another place then
    read_training_state(directory.path(), other.adapted, *other.trainer);
    for (int i = at; i < 7; ++i) CHECK(other.trainer->step().loss == losses[i]);
    CHECK(distance(other.weights(), whole.weights()) == 0);
  }
}

TEST_CASE("a plan that splits a step otherwise takes no rows that were prepared for another", "[any_device]") {
  TrainingConfig config = base_config();
  DeviceRun here(config, at::kCPU), there(config, device);
  for (const int64_t tokens : {64, 16, 512, 16}) {
    for (const DeviceRun* run : {&here, &there}) run->trainer->set_plan({.tokens = tokens});
    CHECK(there.trainer->step().loss == Approx(here.trainer->step().loss).epsilon(1e-4));
  }
}

TEST_CASE("a run that stops on a request continues with the row behind the last one that was trained on") {
  const TrainingConfig config = three_passes();
  DeviceRun whole(config, device), parts(config, device);
  std::vector<double> expected, found;
  const auto events = [](std::vector<double>& losses, int stop_after) {
    LoopEvents all;
    all.on_step = [&losses](const StepMetrics& metrics) { losses.push_back(metrics.loss); };
    all.on_evaluation = [](const Evaluation&, bool) {};
    all.save = [] {};
    all.stop_requested = [&losses, stop_after] { return std::ssize(losses) == stop_after; };
    return all;
  };
  CHECK(run_loop(*whole.trainer, config, events(expected, -1)) == LoopEnd::kDone);
  CHECK(run_loop(*parts.trainer, config, events(found, 3)) == LoopEnd::kStopped);
  CHECK(found.size() == 3);
  CHECK(run_loop(*parts.trainer, config, events(found, -1)) == LoopEnd::kDone);
  CHECK(found == expected);
}

TEST_CASE("pairs and marked answers are prepared ahead to the same losses") {
  for (const std::string objective : {"dpo", "kto", "orpo"}) {
    INFO(objective);
    TrainingConfig config = preference_config(objective);
    config.micro_batch_size = 2;
    config.batch_size = 4;  // three steps an epoch
    PreferenceRun here(config), there(config, simulated_device());
    for (int i = 0; i < 5; ++i) {
      CHECK(there.trainer->step().loss == Approx(here.trainer->step().loss).epsilon(1e-3));
    }
  }
}
