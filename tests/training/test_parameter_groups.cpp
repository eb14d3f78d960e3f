// Which parameters learn at which rate.

#include "lora/training/parameter_groups.h"

#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/training/small_run.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

TEST_CASE("each learning_rates key takes its own parameters, and one that takes none is an error") {
  TrainingConfig config = base_config();
  config.learning_rates = {{"v_proj", 1e-3}, {"layers.1", 5e-3}};
  Fixture run(config);
  const auto& groups = run.trainer->groups();
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].parameters.size() == 4);
  CHECK(groups[1].parameters.size() == 12);
  CHECK(groups[2].name == "adapter");
  CHECK(groups[2].parameters.size() == 12);
  config.learning_rates = {{"v_prj", 1e-3}};
  CHECK_THROWS_WITH(Fixture(config), Contains("'v_prj'") && Contains("v_proj"));
  config.learning_rates = {{"head", 1e-3}};
  CHECK_THROWS_AS(Fixture(config), Error);
}

TEST_CASE("LoRA+ gives B and what has one dimension a multiple of their group's rate, as PEFT does") {
  TrainingConfig config = base_config();
  config.learning_rates = {{"v_proj", 1e-3}};
  config.loraplus_lr_ratio = 16;
  const at::Tensor matrix = at::zeros({2, 2}), vector = at::zeros({2});
  using enum ParameterRole;
  const auto groups = make_parameter_groups({{"l.q_proj.lora_A", matrix, kA},
                                             {"l.q_proj.lora_B", matrix, kB},
                                             {"l.q_proj.lora_magnitude_vector", vector, kAdapter},
                                             {"l.v_proj.lora_A", matrix, kA},
                                             {"l.v_proj.lora_B", matrix, kB},
                                             {"norm.weight", vector, kBase}},
                                            config);
  struct Expected {
    std::string name;
    double rate;
    std::vector<std::string> parameters;
  };
  const double rate = config.learning_rate;
  const std::vector<Expected> wanted = {
      {"v_proj", 1e-3, {"l.v_proj.lora_A"}},
      {"v_proj × 16", 16e-3, {"l.v_proj.lora_B"}},
      {"adapter", rate, {"l.q_proj.lora_A"}},
      {"adapter × 16", 16 * rate, {"l.q_proj.lora_B", "l.q_proj.lora_magnitude_vector", "norm.weight"}}};
  REQUIRE(groups.size() == wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    CHECK(groups[i].name == wanted[i].name);
    CHECK(groups[i].learning_rate == Approx(wanted[i].rate));
    std::vector<std::string> names;
    for (const auto& [name, tensor] : groups[i].parameters) names.push_back(name);
    CHECK(names == wanted[i].parameters);
  }
}

TEST_CASE("the first step of LoRA+ moves B by the ratio times what it moves by without") {
  const auto b_after_a_step = [](double ratio) {
    TrainingConfig config = base_config();
    config.loraplus_lr_ratio = ratio;
    Fixture run(config);
    run.trainer->step();
    std::vector<at::Tensor> all;
    for (const auto& [name, p, role] : trainable_parameters(*run.model)) {
      if (name.ends_with("lora_B")) all.push_back(p.detach().flatten());
    }
    return at::cat(all);
  };
  const at::Tensor plain = b_after_a_step(1), fast = b_after_a_step(8);
  CHECK(plain.abs().max().item<double>() > 0);
  CHECK(at::allclose(fast, plain * 8, 1e-5, 0));
}

TEST_CASE("a rate of zero leaves its group as it was") {
  TrainingConfig config = base_config();
  config.learning_rates = {{"q_proj", 0.0}};
  Fixture run(config);
  const auto before = run.weights();
  for (int i = 0; i < 3; ++i) run.trainer->step();
  const auto after = run.weights();
  const auto names = trainable_parameters(*run.model);
  for (size_t i = 0; i < after.size(); ++i) {
    const bool frozen = names[i].path.find("q_proj") != std::string::npos;
    CHECK(after[i].equal(before[i]) == frozen);
  }
}
