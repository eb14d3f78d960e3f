// Runs that learn from preferences, as a person starts them.

#include "tests/app/runs.h"

using namespace lora;
using namespace lora::test;
namespace fs = std::filesystem;
using Catch::Matchers::Contains;

namespace {

std::string preference_recipe(const TemporaryDirectory& directory, const std::string& training) {
  const std::string data = (quickstart() / "data").string();
  write_bytes(directory / "recipe.yaml", "model: {path: " + (quickstart() / "model").string() + R"(, dtype: float32}
adapter: {method: lora, rank: 4, alpha: 8, dropout: 0.1, target_modules: [q_proj, v_proj]}
data:
  train: [{path: )" + data + R"(/pairs-validation.jsonl}]
  validation: [{path: )" + data + R"(/pairs-validation.jsonl}]
  cleaning: {near_duplicates: "off", contamination: "off"}
training: {max_steps: 6, batch_size: 2, max_length: 256, learning_rate: 1.0e-3, eval_every: 3, checkpoint_every: 2, )" +
                                             training + "}\noutput_dir: " + (directory / "run").string() + "\n");
  return (directory / "recipe.yaml").string();
}

}  // namespace

TEST_CASE("a preference run that is resumed gives the bits of one that never stopped, also without the data cache") {
  const std::string objective = GENERATE("dpo", "kto", "orpo", "reward");
  const TemporaryDirectory directory;
  const std::string recipe = preference_recipe(directory, "objective: " + objective);
  const fs::path out = directory / "run";
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const auto rows = comparable(out);
  const std::string whole = weights(out, 6);
  fs::remove_all(CheckpointStore(out).directory(6));
  const Outcome resumed = run({"lora-train", recipe, "--resume"});  // with a cache of its own
  CAPTURE(objective, resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK(weights(out, 6) == whole);
  CHECK(comparable(out) == rows);
}

TEST_CASE("a preference run writes rewards under TRL's names, and the best evaluation by one of them") {
  const TemporaryDirectory directory;
  const std::string recipe =
      preference_recipe(directory, "objective: dpo, keep_best: true, best_by: rewards/accuracies");
  const Outcome outcome = run({"lora-train", recipe});
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("6 steps of 2 pairs") && Contains("margin ") && Contains("Reference   "));
  const std::vector<nlohmann::json> rows = metrics(directory / "run");
  for (const char* name : {"rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies",
                           "logps/chosen", "logps/rejected"}) {
    CHECK(rows.front().contains(name));
    CHECK(rows.back().contains("eval_" + std::string(name)));
  }
  CHECK(rows.front().at("loss").get<double>() == Approx(std::log(2.0)).epsilon(1e-6));
}

TEST_CASE("prepared data does not go with preferences, and is refused by name") {
  const TemporaryDirectory directory;
  const std::string recipe = preference_recipe(directory, "objective: dpo");
  check_refused({"lora-data", "prepare", recipe, "--output", (directory / "prepared").string()}, 2,
                {"training.objective: data for dpo is not prepared"});
}
