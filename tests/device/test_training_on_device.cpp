// Steps on a device: the CPU's losses, exact resume, memory within the plan, and float16 with scaled losses.

#include <ATen/ATen.h>

#include <cmath>

#include "lora/checkpoints/training_state.h"
#include "lora/training/loss_scale.h"
#include "lora/training/memory_plan.h"
#include "tests/catch.h"
#include "tests/device/device_run.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;

TEST_CASE("steps and evaluations on a device have the CPU's losses, whatever the method", "[any_device]") {
  for (const char* method : {"lora", "dora", "adalora", "lora_fa", "full"}) {
    INFO(method);
    DeviceRun here(base_config(), at::kCPU, "float32", method), there(base_config(), device, "float32", method);
    for (int i = 0; i < 6; ++i) {
      const StepMetrics a = here.trainer->step(), b = there.trainer->step();
      CHECK(b.loss == Approx(a.loss).epsilon(1e-4));
      CHECK(b.grad_norm == Approx(a.grad_norm).epsilon(1e-3));
    }
    CHECK(there.trainer->evaluate().loss == Approx(here.trainer->evaluate().loss).epsilon(1e-4));
  }
}

TEST_CASE("a run on a device that is resumed from its checkpoint has the same bits", "[any_device]") {
  for (const char* dtype : {"float32", "float16"}) {
    INFO(dtype);
    const TemporaryDirectory directory;
    DeviceRun whole(base_config(), device, dtype), parts(base_config(), device, dtype),
        other(base_config(), device, dtype);
    for (int i = 0; i < 6; ++i) whole.trainer->step();
    for (int i = 0; i < 3; ++i) parts.trainer->step();
    write_training_state(directory.path(), parts.adapted, *parts.trainer, "base", "");
    read_training_state(directory.path(), other.adapted, *other.trainer);
    CHECK(other.trainer->progress().loss_scale == parts.trainer->progress().loss_scale);
    CHECK(other.trainer->progress().steps_at_scale == parts.trainer->progress().steps_at_scale);
    for (int i = 0; i < 3; ++i) other.trainer->step();
    CHECK(distance(other.weights(), whole.weights()) == 0);
  }
}

TEST_CASE("float16 learns as float32 does, with a scale that adds nothing", "[any_device]") {
  DeviceRun half(base_config(), device, "float16"), single(base_config(), device);
  Progress progress = half.trainer->progress();
  CHECK(progress.loss_scale == kFirstLossScale);
  progress.loss_scale = 256;
  half.trainer->resume(progress);
  for (int i = 0; i < 6; ++i) {
    const StepMetrics a = half.trainer->step(), b = single.trainer->step();
    CHECK_FALSE(a.skipped);
    CHECK(a.loss_scale == 256);
    CHECK(a.loss == Approx(b.loss).epsilon(1e-2));
    if (i < 3) CHECK(a.grad_norm == Approx(b.grad_norm).epsilon(5e-2));  // then the two runs drift apart
  }
  CHECK(half.trainer->progress().steps_at_scale == 6);
  CHECK(single.trainer->progress().loss_scale == 0);
}

TEST_CASE("a gradient that overflows float16 skips the step, changes no weight and halves the scale", "[any_device]") {
  TrainingConfig config = base_config();
  config.max_steps = 60;
  DeviceRun run(config, device, "float16");
  Progress progress = run.trainer->progress();
  progress.loss_scale = 0x1p40;
  run.trainer->resume(progress);
  const auto before = run.weights();
  int skipped = 0;
  StepMetrics metrics = run.trainer->step();
  CHECK(metrics.overflowed);
  CHECK(run.trainer->progress().loss_scale == 0x1p39);
  CHECK(distance(run.weights(), before) == 0);
  // More overflows than max_nonfinite_steps would allow.
  for (; metrics.skipped && skipped < 40; ++skipped) metrics = run.trainer->step();
  CHECK(skipped > base_config().max_nonfinite_steps);
  CHECK_FALSE(metrics.skipped);
  CHECK(run.trainer->progress().skipped_in_row == 0);
  CHECK(run.trainer->progress().loss_scale == std::ldexp(1.0, 40 - skipped));
  CHECK(distance(run.weights(), before) > 0);
}

TEST_CASE("many updates in a row double the loss scale", "[any_device]") {
  Progress progress;
  progress.loss_scale = 8;
  progress.steps_at_scale = kStepsToDouble - 2;
  adjust_loss_scale(progress, false);
  CHECK(progress.loss_scale == 8);
  adjust_loss_scale(progress, false);
  CHECK(progress.loss_scale == 16);
  CHECK(progress.steps_at_scale == 0);
}

TEST_CASE("a run on a device holds no more than its plan") {
  TrainingConfig config = base_config();
  for (const MemoryMode mode : {MemoryMode::kFast, MemoryMode::kLow}) {
    config.memory = mode;
    DeviceRun run(config, simulated_device());
    const MemoryPlan plan = plan_memory(*run.model, run.trainer->groups(), config, data_need(run.train, run.validation),
                                        {int64_t{1} << 40, simulated_device()});
    run.trainer->set_plan(plan.execution);
    const int64_t others = simulated_memory().held;  // also what this run holds already
    reset_simulated_peak();
    for (int i = 0; i < 3; ++i) run.trainer->step();
    run.trainer->evaluate();
    CHECK(simulated_memory().peak <= plan.total());
    CHECK(simulated_memory().peak > others);
    CHECK(peak_device_bytes(simulated_device()) == simulated_memory().peak);
  }
}
