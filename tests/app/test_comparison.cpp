// The baselines beside a run: the same figures as a run of that method itself would be planned with.

#include "lora/app/training/comparison.h"

#include "lora/adapters/inject.h"
#include "lora/terminal/text.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

struct Planned {
  explicit Planned(const AdapterConfig& adapter) {
    model = load_pretrained(golden_model("default"), "bfloat16");
    adapted = inject(model, adapter, 1);
    training.max_steps = 1;
    training.memory = MemoryMode::kFast;
    plan = plan_memory(*model, make_parameter_groups(trainable_parameters(*model), training), training, need,
                       {24LL << 30});
  }
  std::vector<MethodNeed> others() const { return baselines(adapted, training, need, plan); }

  TrainingConfig training;
  DataNeed need{.longest = 40, .samples = 10, .tokens = 300, .distinct = 30};
  std::shared_ptr<LlamaForCausalLM> model;
  AdaptedModel adapted;
  MemoryPlan plan;
};

AdapterConfig method(const std::string& name) {
  AdapterConfig config;
  config.method = name;
  config.rank = 6;
  if (name == "adalora") config.adalora.target_r = 3;
  config.target_modules = AllLinear{};
  return config;
}

void check_same(const MethodNeed& found, const Planned& wanted) {
  CHECK(found.trained == wanted.adapted.trainable_parameters);
  CHECK(found.parameters == wanted.adapted.total_parameters);
  CHECK(found.plan.weights == wanted.plan.weights);
  CHECK(found.plan.optimizer == wanted.plan.optimizer);
  CHECK(found.plan.total() == wanted.plan.total());
}

}  // namespace

TEST_CASE("LoRA and full fine-tuning stand beside each other with the figures that they have themselves") {
  const Planned lora(method("lora")), full(method("full"));
  REQUIRE(lora.others().size() == 1);
  check_same(lora.others()[0], full);
  REQUIRE(full.others().size() == 1);
  check_same(full.others()[0], lora);
  CHECK(full.others()[0].name == "lora, rank 6");
  const std::string table = comparison_table(lora.adapted, lora.plan, lora.others());
  CHECK_THAT(table, Contains("lora, rank 6 (this run)") && Contains("full") && Contains("100.0 %") &&
                        Contains(with_commas(lora.adapted.trainable_parameters)));
}

TEST_CASE("another method stands beside both, AdaLoRA beside LoRA of the rank it ends with") {
  const Planned full(method("full"));
  AdapterConfig rank_3 = method("lora");
  rank_3.rank = 3;
  const Planned adalora(method("adalora")), lora(rank_3), fa(method("lora_fa"));
  REQUIRE(adalora.others().size() == 2);
  check_same(adalora.others()[0], lora);
  check_same(adalora.others()[1], full);
  check_same(fa.others()[0], Planned(method("lora")));
  CHECK(fa.adapted.trainable_parameters < fa.others()[0].trained);
}

TEST_CASE("a memory_limit that the run keeps does not bind its baselines") {
  Planned full(method("full"));
  full.training.memory_limit = full.plan.total();
  CHECK(full.others()[0].plan.total() > full.plan.total());  // of a model so small, whose adapters are padded
}

TEST_CASE("a rank that LoRA could not have leaves full fine-tuning without that row") {
  AdapterConfig adapter = method("full");
  adapter.rank = 9;  // the keys have 8 rows
  CHECK(Planned(adapter).others().empty());
}
