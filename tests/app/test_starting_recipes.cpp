// The recipes to start from: found beside the program, written by it, and fit for the models that they are made for.

#include <set>

#include "lora/adapters/initialise.h"
#include "lora/adapters/registry.h"
#include "lora/app/training/config_plan.h"
#include "lora/quantization/quantizer.h"
#include "lora/recipe/starting.h"
#include "lora/training/objective.h"
#include "tests/app/runs.h"

using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

// A folder with config.json of the models that recipes name, as far as their shape goes, and files of the names that
// recipes read.
void write_surroundings(const fs::path& directory) {
  fs::copy(source_dir() / "tests/golden/shapes", directory / "models", fs::copy_options::recursive);
  fs::create_directories(directory / "data");
  const std::string chat = R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";
  for (const char* name : {"train.jsonl", "validation.jsonl"}) write_bytes(directory / "data" / name, chat + "\n");
  write_bytes(directory / "data/instructions.jsonl", R"({"instruction": "a", "input": "", "output": "b"})"
                                                     "\n");
  for (const char* name : {"text-1.jsonl.gz", "validation-text.jsonl"}) {
    write_bytes(directory / "data" / name, "{\"text\": \"a\"}\n");
  }
  fs::create_directories(directory / "runs/quickstart-assets");
  fs::copy(quickstart() / "model", directory / "runs/quickstart-assets/model");
  for (const char* name : {"corpus.jsonl", "corpus-validation.jsonl"}) {
    write_bytes(directory / "runs/quickstart-assets" / name,
                "{\"text\": \"a village\"}\n{\"text\": \"another one\"}\n");
  }
}

bool names_quickstart(const std::string& text) { return text.find("/quickstart/model") != std::string::npos; }

}  // namespace

TEST_CASE("every recipe to start from fits the model that it is made for, by its config.json alone") {
  const TemporaryDirectory directory;
  write_surroundings(directory.path());
  const fs::path recipes = source_dir() / "recipes";
  int planned = 0;
  for (const auto& [name, about] : lora::starting_recipes(recipes)) {
    CAPTURE(name);
    const fs::path file = directory / (name + ".yaml");
    write_bytes(file, lora::starting_recipe(recipes, name));
    for (const lora::NamedRecipe& one : lora::load_recipes_to_run(file)) {
      CHECK(one.notes.empty());
      if (!lora::has_config_alone(one.recipe.model)) continue;
      ++planned;
      CHECK_THAT(lora::config_plan(one.recipe), Contains("parameters are trained") && Contains("Memory"));
    }
  }
  CHECK(planned >= 7);
}

TEST_CASE("every method, start, objective and encoding has a recipe to start from, and every loss is named in one") {
  std::set<std::string> used;
  std::string text;
  const fs::path recipes = source_dir() / "recipes";
  for (const auto& [name, about] : lora::starting_recipes(recipes)) {
    text += read_bytes(recipes / (name + ".yaml"));
    for (const lora::NamedRecipe& one : lora::load_recipes(recipes / (name + ".yaml"))) {
      const lora::Recipe& recipe = one.recipe;
      used.insert({"method " + recipe.adapter.method, "init " + recipe.adapter.init,
                   "objective " + recipe.training.objective, "quantization " + recipe.model.quantization,
                   "head " + lora::name_of(recipe.model.head)});
      if (recipe.adapter.use_rslora) used.insert("method rslora");  // its other name
      if (recipe.training.loraplus_lr_ratio > 1) used.insert("LoRA+");
    }
  }
  const auto expect = [&](const std::string& kind, const lora::Names& names,
                          const std::set<std::string>& without = {}) {
    for (const std::string& name : names.known) {
      CAPTURE(kind, name);
      CHECK((without.contains(name) || used.contains(kind + " " + name)));
    }
  };
  expect("method", lora::method_names());
  expect("init", lora::init_names(), {"gaussian", "pissa_niter_N"});          // other forms of kaiming and pissa
  expect("objective", lora::objective_names(), {"sequence_classification"});  // it follows from the head
  expect("quantization", lora::quantization_names(), {"int8"});
  expect("head", lora::names_of(lora::Head::kNone));
  CHECK(used.contains("LoRA+"));
  for (const std::string& loss : lora::names_of(lora::PairLoss::kSigmoid).known) {
    CAPTURE(loss);
    CHECK_THAT(text, Contains(loss));
  }
}

TEST_CASE("every recipe to start from is dry-run by the program", "[.long]") {
  const TemporaryDirectory directory;
  write_surroundings(directory.path());
  const fs::path recipes = source_dir() / "recipes";
  for (const auto& [name, about] : lora::starting_recipes(recipes)) {
    CAPTURE(name);
    const fs::path file = directory / (name + ".yaml");
    write_bytes(file, lora::starting_recipe(recipes, name));
    const Outcome outcome = run({"lora-train", file.string(), "--dry-run"});
    CAPTURE(outcome.err);
    CHECK(outcome.exit_code == 0);
    CHECK_THAT(outcome.out, Contains("parameters are trained"));
    CHECK(names_quickstart(read_bytes(file)) ==
          (outcome.out.find("Not read    weights") == std::string::npos && name != "quickstart-pretrain"));
  }
}

TEST_CASE("the program lists recipes to start from, writes one, and tells what it is") {
  const TemporaryDirectory directory;
  const Outcome list = run({"lora-train", "--list-recipes"});
  CHECK(list.exit_code == 0);
  CHECK_THAT(list.out,
             Contains("llama-3.1-8b-qlora") && Contains("preference-dpo") && Contains("lora-train --new NAME"));

  const std::string mine = (directory / "mine.yaml").string();
  const Outcome made = run({"lora-train", "--new", "quickstart", mine});
  CAPTURE(made.err);
  REQUIRE(made.exit_code == 0);
  CHECK_THAT(made.out, Contains("wrote " + mine));
  CHECK(run({"lora-train", mine, "--dry-run"}).exit_code == 0);
  check_refused({"lora-train", "--new", "quickstart", mine}, 2, {"is there already"});
  check_refused({"lora-train", "--new", "quikstart", mine + "2"}, 2, {"did you mean 'quickstart'?"});
  check_refused({"lora-train"}, 2, {"RECIPE", "--list-recipes"});

  const Outcome version = run({"lora-generate", "--version"});
  CHECK(version.exit_code == 0);
  CHECK_THAT(version.out, Contains("lora-generate 0.") && Contains("LibTorch     2.") && Contains("Instructions ") &&
                              Contains("Built with   "));
  CHECK_THAT(run({"lora-train", "--schema"}).out, Contains("json-schema.org"));
}
