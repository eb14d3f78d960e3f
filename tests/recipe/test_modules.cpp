// What a recipe says of the model's modules, and what a recipe that continues an adapter takes from it.

#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

const std::string kQuickstartModel = "recipes/quickstart/model";  // hidden 64

// kMinimal's recipe with a model and rows that are there, and with this text for its adapter.
std::string on_quickstart(const std::string& adapter) {
  return "model:\n  path: " + kQuickstartModel + "\nadapter:\n" + adapter +
         "data:\n  train: [{path: recipes/quickstart/data/train.jsonl, format: completion}]\n"
         "training: {max_steps: 200}\noutput_dir: runs/example\n";
}

std::string run_error(const std::string& yaml, const Overrides& overrides = {}) {
  return error_of(yaml, [&](const std::string& path) { load_recipes_to_run(path, overrides); });
}

TEST_CASE("all that is wrong with a recipe is in one answer, patterns and paths too, by line and column") {
  const std::string yaml =
      "model:\n"
      "  path: recipes/quickstart/model\n"
      "adapter:\n"
      "  alfa: 3\n"
      "  target_modules: [q_proj, v_prj]\n"
      "  exclude_modules: [zzz]\n"
      "  rank_pattern: {q_proj: 2, nope: 4}\n"
      "  alpha_pattern:\n"
      "    never: 2\n"
      "  modules_to_save: [scores]\n"
      "  layers_to_transform: [0, 77]\n"
      "data:\n"
      "  train: [{path: nowhere.jsonl, format: alpaca}]\n"
      "training: {max_steps: -1}\n"
      "output_dir: runs/example\n";
  const std::string message = run_error(yaml);
  size_t at = 0;
  for (const char* part : {
           "[recipe] a.yaml:4:3: unknown key 'alfa' in 'adapter' (did you mean 'alpha'?)",
           "\n[recipe] a.yaml:5:28: adapter.target_modules: 'v_prj' matches no module (did you mean 'v_proj'?); "
           "this model's linear layers are q_proj",
           "\n[recipe] a.yaml:6:21: adapter.exclude_modules: 'zzz' matches no module",
           "\n[recipe] a.yaml:7:29: adapter.rank_pattern: 'nope' matches no module; the adapted linear layers are "
           "q_proj",
           "\n[recipe] a.yaml:9:5: adapter.alpha_pattern: 'never' matches no module",
           "\n[recipe] a.yaml:10:21: adapter.modules_to_save: 'scores' matches no module",
           "\n[recipe] a.yaml:11:28: adapter.layers_to_transform: layer 77 has no module",
           "\n[data] a.yaml:13:18: nowhere.jsonl: no such file",
           "\n[recipe] a.yaml:14:23: training.max_steps: expected an integer >= 1, found '-1'",
       }) {
    INFO(part);
    INFO(message);
    const size_t found = message.find(part, at);
    REQUIRE(found != std::string::npos);
    at = found;
  }
  CHECK(std::ranges::count(message, '\n') == 8);
}

TEST_CASE("a pattern that an override names is reported by the override") {
  CHECK_THAT(run_error(on_quickstart("  rank: 4\n"), {"adapter.target_modules=[k]"}),
             Contains("[recipe] override 'adapter.target_modules=[k]': adapter.target_modules: 'k' matches no module"));
  CHECK_THAT(run_error(on_quickstart("  target_modules: .*zzz\n")),
             Contains("[recipe] a.yaml:4:19: adapter.target_modules: '.*zzz' matches no module"));
  CHECK_THAT(run_error(on_quickstart("  target_modules: '('\n")), Contains("[recipe] a.yaml:4:19: adapter."));
}

TEST_CASE("what else keeps an adapter out of the model is found before anything is read") {
  CHECK_THAT(run_error(on_quickstart("  rank: 65\n")),
             Contains("[recipe] a.yaml:4:9: rank 65 of 'model.layers.0") && Contains("is more than 64"));
  CHECK_THAT(run_error(on_quickstart("  bias: all\n")),
             Contains("[recipe] a.yaml:4:9: adapter.bias: all trains none here"));
  CHECK(run_error(on_quickstart("  rank: 64\n")) == "loaded");
}

TEST_CASE("a model without a readable config.json is left to its loading") {
  const TemporaryDirectory directory;
  write_bytes(directory / "config.json", "{");
  CHECK(run_error(on_quickstart("  target_modules: [zzz]\n"), {"model.path=" + directory.path().string()}) == "loaded");
}

TEST_CASE("a recipe's patterns are not looked up where it is only read") {
  CHECK(error_of(on_quickstart("  target_modules: [zzz]\n")) == "loaded");
}

// An adapter_config.json as PEFT 0.21 writes it.
constexpr const char* kPeftConfig =
    R"({"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "m", "r": 2, "lora_alpha": 8,
        "lora_dropout": 0.1, "target_modules": ["q_proj", "w1"], "rank_pattern": {"layers.1.self_attn.q_proj": 4},
        "alpha_pattern": {}, "bias": "none", "use_rslora": true, "use_dora": false, "init_lora_weights": true})";

TEST_CASE("what a recipe with init_from leaves out is as in the adapter's file") {
  const TemporaryDirectory adapter, directory;
  write_bytes(adapter / "adapter_config.json", kPeftConfig);
  const std::string from = "  init_from: " + adapter.path().string() + "\n";
  const auto adapter_of = [&](const std::string& keys, const Overrides& overrides = {}) {
    write_bytes(directory / "a.yaml", on_quickstart(from + keys));
    return load_recipes_to_run(directory / "a.yaml", overrides).front().recipe.adapter;
  };
  const AdapterConfig alone = adapter_of("");
  CHECK(alone.rank == 2);
  CHECK(alone.alpha == 8);
  CHECK(alone.dropout == 0.1);
  CHECK(alone.use_rslora);
  CHECK(alone.rank_pattern == std::vector<std::pair<std::string, int64_t>>{{"layers.1.self_attn.q_proj", 4}});
  // w1 is of other models that the file serves too.
  CHECK(alone.target_modules == ModulePatterns(std::vector<std::string>{"q_proj"}));

  const AdapterConfig said = adapter_of("  alpha: 3\n  dropout: 0.0\n  target_modules: all-linear\n");
  CHECK(said.alpha == 3);
  CHECK(said.dropout == 0.0);
  CHECK(said.rank == 2);
  CHECK(said.target_modules == ModulePatterns(AllLinear{}));
  CHECK(adapter_of("  alpha: 3\n", {"adapter.alpha=null"}).alpha == 8);
  // A recipe's own pattern has to match.
  CHECK_THAT(run_error(on_quickstart(from + "  target_modules: [q_proj, w1]\n")),
             Contains("a.yaml:5:28: adapter.target_modules: 'w1' matches no module"));
}

TEST_CASE("a recipe that continues an adapter is written out with the file's values") {
  const TemporaryDirectory adapter, directory;
  write_bytes(adapter / "adapter_config.json", kPeftConfig);
  write_bytes(directory / "a.yaml", on_quickstart("  init_from: " + adapter.path().string() + "\n"));
  const Recipe recipe = load_recipes_to_run(directory / "a.yaml").front().recipe;
  std::filesystem::remove(adapter / "adapter_config.json");
  write_bytes(directory / "b.yaml", to_yaml(recipe));
  CHECK(load_recipe(directory / "b.yaml") == recipe);
}

}  // namespace
}  // namespace lora::test
