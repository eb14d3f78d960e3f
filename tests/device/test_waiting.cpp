// How often the host waits for the device in a step: once, for all that it has to know.

#include "models/engine/readings.h"
#include "tests/catch.h"
#include "tests/device/device_run.h"
#include "tests/training/preference_run.h"

using namespace lora;
using namespace lora::test;

namespace {

int64_t reads_of_step(Trainer& trainer) {
  const int64_t before = simulated_reads();
  trainer.step();
  return simulated_reads() - before;
}

}  // namespace

TEST_CASE("scalars are read from the device by one copy, and have the values that each has alone") {
  Readings readings;
  const at::Tensor here = at::scalar_tensor(0.1, at::kFloat), there = at::scalar_tensor(-2.5).to(simulated_device());
  const at::Tensor whole = at::scalar_tensor(7, at::kLong).to(simulated_device());
  double a = 0, b = 0, c = 0;
  readings.add(here, a);
  readings.add(there, b);
  readings.add(whole, c);
  const int64_t before = simulated_reads();
  readings.read();
  CHECK(simulated_reads() - before == 1);
  CHECK(a == static_cast<double>(0.1F));
  CHECK(b == -2.5);
  CHECK(c == 7);
  readings.read();  // nothing is left
  CHECK(simulated_reads() - before == 1);
}

TEST_CASE("a step waits for the device once, whatever the method") {
  TrainingConfig config = base_config();
  config.micro_batch_size = 2;  // three passes a step
  for (const char* method : {"lora", "dora", "lora_fa", "full"}) {
    INFO(method);
    DeviceRun run(config, simulated_device(), "float32", method);
    for (int i = 0; i < 3; ++i) CHECK(reads_of_step(*run.trainer) == 1);
  }
  DeviceRun half(config, simulated_device(), "float16");
  for (int i = 0; i < 3; ++i) CHECK(reads_of_step(*half.trainer) == 1);
}

// DeviceRun prunes after steps 2 and 3, and for the last time after step 4, where it also notes the ranks.
TEST_CASE("a step of AdaLoRA waits once, one that prunes once more") {
  DeviceRun run(base_config(), simulated_device(), "float32", "adalora");
  std::vector<int64_t> reads;
  for (int i = 0; i < 6; ++i) reads.push_back(reads_of_step(*run.trainer));
  CHECK(reads == std::vector<int64_t>{1, 2, 2, 3, 1, 1});
}

TEST_CASE("a step on preferences waits once, with kto's divergence twice, and has the CPU's measures") {
  for (const std::string objective : {"dpo", "ipo", "orpo", "cpo", "simpo", "kto"}) {
    INFO(objective);
    TrainingConfig config = preference_config(objective);
    config.micro_batch_size = 2;
    config.preference.sft_weight = 0.5;
    PreferenceRun here(config), there(config, simulated_device());
    for (int i = 0; i < 2; ++i) {
      const int64_t before = simulated_reads();
      const StepMetrics found = there.trainer->step();
      CHECK(simulated_reads() - before == (objective == "kto" ? 2 : 1));
      const StepMetrics expected = here.trainer->step();
      CHECK(found.loss == Approx(expected.loss).epsilon(1e-3));
      REQUIRE(found.measures.means().size() == expected.measures.means().size());
      REQUIRE_FALSE(expected.measures.means().empty());
      for (const Measures::Mean& mean : expected.measures.means()) {
        INFO(mean.name);
        REQUIRE(found.measures.find(mean.name));
        CHECK(found.measures.find(mean.name)->count == mean.count);
        CHECK(found.measures.find(mean.name)->value() == Approx(mean.value()).epsilon(1e-3).margin(1e-3));
      }
    }
  }
}
