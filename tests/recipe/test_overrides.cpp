#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

std::string override_error(const std::string& text) { return error_of(kMinimal, {text}); }

TEST_CASE("an override replaces a value, adds one, and reads its value as YAML") {
  const Recipe recipe =
      load_text(kMinimal, {"training.max_steps=7", "adapter.rank=4", "training.learning_rate=1e-3",
                           "adapter.target_modules=all-linear", "adapter.rank_pattern={q_proj: 2}",
                           "adapter.rank_pattern.v_proj=3", "export=[peft]", "evaluation.show=1", "model.path=a=b"});
  CHECK(recipe.training.max_steps == 7);
  CHECK(recipe.adapter.rank == 4);
  CHECK(recipe.training.learning_rate == 1e-3);
  CHECK(recipe.adapter.target_modules == ModulePatterns(AllLinear{}));
  CHECK(recipe.adapter.rank_pattern == std::vector<std::pair<std::string, int64_t>>{{"q_proj", 2}, {"v_proj", 3}});
  CHECK(recipe.exports == std::vector<std::string>{"peft"});
  CHECK(recipe.evaluation.show == 1);
  CHECK(recipe.model.path == "a=b");
}

TEST_CASE("of two overrides of one key the later holds") {
  CHECK(load_text(kMinimal, {"adapter.rank=4", "adapter.rank=6"}).adapter.rank == 6);
  CHECK(load_text(kMinimal, {"adapter.rank=4", "adapter={target_modules: [q]}"}).adapter.rank == AdapterConfig{}.rank);
}

TEST_CASE("an override reaches into a list by number") {
  const Recipe recipe = load_text(kMinimal, {"data.train.0.path=other.jsonl", "data.train.0.fields.prompt=question"});
  CHECK(recipe.data.train.at(0).path == "other.jsonl");
  CHECK(recipe.data.train.at(0).format == "completion");
  CHECK(recipe.data.train.at(0).fields.at("prompt") == "question");
  const std::string end = "which is a list of 1 counted from 0";
  CHECK(override_error("data.train.1.path=x") ==
        "[recipe] override 'data.train.1.path=x': no entry '1' in 'data.train', " + end);
  CHECK(override_error("data.train.first.path=x") ==
        "[recipe] override 'data.train.first.path=x': no entry 'first' in 'data.train', " + end);
  CHECK(override_error("data.train.-1.path=x") ==
        "[recipe] override 'data.train.-1.path=x': no entry '-1' in 'data.train', " + end);
}

TEST_CASE("an override by number begins a list that the recipe does not have") {
  const Recipe recipe =
      load_text(kMinimal, {"data.validation.0.path=held.jsonl", "data.validation.0.format=completion"});
  REQUIRE(recipe.data.validation.size() == 1);
  CHECK(recipe.data.validation[0].path == "held.jsonl");
  CHECK(recipe.data.validation[0].format == "completion");
  CHECK(override_error("data.validation.0.pth=x") ==
        "[recipe] override 'data.validation.0.pth=x': unknown key 'pth' in 'data.validation.0' (did you mean 'path'?)");
  CHECK(override_error("data.validation.1.path=x").find("data.validation") != std::string::npos);
}

TEST_CASE("a pattern of files and standard input need no quotes in an override") {
  CHECK(load_text(kMinimal, {"data.train.0.path=*.jsonl"}).data.train.at(0).path == "*.jsonl");
  CHECK(load_text(kMinimal, {"data.train.0.path=-"}).data.train.at(0).path == "-");
}

TEST_CASE("null takes a key back to its default, and is its value where null is one") {
  CHECK(load_text(kMinimal, {"data.cache_dir=null"}).data.cache_dir.empty());
  const Recipe recipe = load_text(kMinimal, {"training.max_steps=null", "training.epochs=0.5"});
  CHECK_FALSE(recipe.training.max_steps);
  CHECK(recipe.training.epochs == 0.5);
  CHECK(load_text(with_line(4, "  target_modules: [q]\n  rank: 3"), {"adapter.rank="}).adapter.rank ==
        AdapterConfig{}.rank);
  CHECK(override_error("output_dir=null") == "[recipe] a.yaml:1:1: missing key 'output_dir'");
  CHECK(override_error("data.train=") ==
        "[recipe] a.yaml:5:1: missing key 'train' in 'data'; "
        "expected a list of at least one {path: ..., format: ...}");
}

TEST_CASE("an error in an override names the override") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"adapter.rnak=4", "unknown key 'rnak' in 'adapter' (did you mean 'rank'?)"},
      {"adaptr.rank=4", "unknown key 'adaptr' (did you mean 'adapter'?)"},
      {"adapter.nosuch=null", "unknown key 'nosuch' in 'adapter'"},
      {"rank=4", "unknown key 'rank' ('rank' belongs in 'adapter')"},
      {"training.max_steps=abc", "expected an integer, found 'abc'"},
      {"training.learning_rate=nan", "expected a finite number > 0, found 'nan'"},
      {"training=5", "expected a map, found '5'"},
      {"training={max_steps: x}", "training.max_steps: expected an integer, found 'x'"},
      {"training.max_steps.x=1", "'training.max_steps' is a single value and has no 'x'"},
      {"training.epochs=2", "training.epochs: max_steps is given too; a run ends by one of the two"},
      {"foo", "expected key.path=value"},
      {"=3", "an empty name in the path; expected key.path=value"},
      {"adapter..rank=3", "an empty name in the path; expected key.path=value"},
      {"adapter.=3", "an empty name in the path; expected key.path=value"},
  };
  for (const auto& [text, message] : table) {
    CHECK(override_error(text) == "[recipe] override '" + text + "': " + message);
  }
  // The file does not have the seed, so that the path makes a map of it.
  CHECK(override_error("training.seed.x=1") ==
        "[recipe] override 'training.seed.x=1': training.seed: expected an integer, found a map");
  CHECK(override_error("adapter.target_modules=[q")
            .starts_with("[recipe] override 'adapter.target_modules=[q': not valid YAML: "));
}

}  // namespace
}  // namespace lora::test
