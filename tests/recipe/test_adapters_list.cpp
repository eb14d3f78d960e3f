// A recipe of several adapters: each entry is the recipe that would train it alone.

#include "tests/catch.h"
#include "tests/recipe/recipe_file.h"

namespace lora::test {
namespace {

const std::string kList =
    "model: {path: models/tiny}\n"                                           // 1
    "adapter: {rank: 4, target_modules: [q_proj]}\n"                         // 2
    "training: {max_steps: 20, threads: 2, seed: 7}\n"                       // 3
    "adapters:\n"                                                            // 4
    "  - name: fr\n"                                                         // 5
    "    adapter: {rank: 16, rank_pattern: {q_proj: 2}}\n"                   // 6
    "    data: {train: [{path: fr.jsonl, format: text}]}\n"                  // 7
    "  - name: de\n"                                                         // 8
    "    data: {train: [{path: de.jsonl, format: text}], shuffle: false}\n"  // 9
    "    training: {learning_rate: 1.0e-3, epochs: 2}\n"                     // 10
    "    export: [peft]\n"                                                   // 11
    "output_dir: runs/both\n";                                               // 12

std::vector<NamedRecipe> load_list(const std::string& yaml, const Overrides& overrides = {}) {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.yaml", yaml);
  return load_recipes(directory / "a.yaml", overrides);
}

std::string list_error(const std::string& yaml, const Overrides& overrides = {}) {
  return error_of(yaml, [&](const std::string& path) { load_recipes(path, overrides); });
}

// kList with `line` (counted from 1) replaced.
std::string list_with(int line, const std::string& text) { return with_line(kList, line, text); }

TEST_CASE("each entry of adapters is what the recipe says for all, with what the entry says otherwise") {
  const auto recipes = load_list(kList);
  REQUIRE(recipes.size() == 2);
  CHECK(recipes[0].name == "fr");
  CHECK(recipes[0].recipe == load_text("model: {path: models/tiny}\n"
                                       "adapter: {rank: 16, rank_pattern: {q_proj: 2}, target_modules: [q_proj]}\n"
                                       "data: {train: [{path: fr.jsonl, format: text}]}\n"
                                       "training: {max_steps: 20, threads: 2, seed: 7}\n"
                                       "output_dir: runs/both/fr\n"));
  CHECK(recipes[1].name == "de");
  CHECK(recipes[1].recipe == load_text("model: {path: models/tiny}\n"
                                       "adapter: {rank: 4, target_modules: [q_proj]}\n"
                                       "data: {train: [{path: de.jsonl, format: text}], shuffle: false}\n"
                                       "training: {epochs: 2, threads: 2, seed: 7, learning_rate: 1.0e-3}\n"
                                       "export: [peft]\n"
                                       "output_dir: runs/both/de\n"));
}

TEST_CASE("overrides reach what is shared and each entry") {
  const auto recipes = load_list(kList, {"training.seed=3", "adapters.1.training.seed=5", "adapters.0.adapter.rank=2",
                                         "output_dir=/x", "adapters.0.adapter.rank_pattern=null"});
  CHECK(recipes[0].recipe.training.seed == 3);
  CHECK(recipes[1].recipe.training.seed == 5);
  CHECK(recipes[0].recipe.adapter.rank == 2);
  CHECK(recipes[0].recipe.adapter.rank_pattern.empty());
  CHECK(recipes[0].recipe.output_dir == "/x/fr");
}

TEST_CASE("a recipe without the list is one run without a name") {
  const auto recipes = load_list(kMinimal);
  REQUIRE(recipes.size() == 1);
  CHECK(recipes[0].name.empty());
  CHECK(recipes[0].recipe == load_text(kMinimal));
  CHECK(load_list(kMinimal, {"adapters=null"}).size() == 1);
}

TEST_CASE("a list of adapters that cannot be is refused at its place") {
  struct Bad {
    int line;
    std::string text, message;
  };
  const std::vector<Bad> table = {
      {8, "  - name: fr", "8:11: adapters.1.name: the name 'fr' is taken by the adapter at a.yaml:5:11"},
      {8, "  - name: a/b",
       "8:11: adapters.1.name: expected at most 100 letters, digits, '_', '-' and '.', beginning with a letter or a "
       "digit; found 'a/b'"},
      {8, "  - name: none", "8:11: adapters.1.name: 'none' stands for the base without an adapter; found 'none'"},
      {8, "  - name: [x]", "8:11: adapters.1.name: expected a name, found a list"},
      {8, "  - evaluation: {show: 1}", "8:5: missing key 'name' in 'adapters.1'"},
      {1, "model: {path: x}\ndata: {train: [{path: x, format: text}]}",
       "2:15: data.train: each of 'adapters' has data of its own; put it in their 'data'"},
      {11, "    rank: 3", "11:5: unknown key 'rank' in 'adapters.1' ('rank' belongs in 'adapter')"},
      {11, "    dta: 3", "11:5: unknown key 'dta' in 'adapters.1' (did you mean 'data'?)"},
      {11, "    model: {path: x}",
       "11:5: 'model' in 'adapters.1': all adapters of a run are on one base; expected model at the top level"},
      {11, "    output_dir: x",
       "11:5: 'output_dir' in 'adapters.1': an adapter's run is in the folder of its name; expected output_dir at the "
       "top level"},
      {10, "    training: {threads: 1}",
       "10:16: 'threads' in 'adapters.1.training' is one for the whole run; expected it in 'training' at the top "
       "level"},
      {9, "    data: {train: []}",
       "9:19: missing key 'train' in 'data'; expected a list of at least one {path: ..., format: ...}"},
      {10, "    adapter: {rank: 0}", "10:21: adapter.rank: expected an integer >= 1, found '0'"},
      {10, "    adapter: {rnak: 0}", "10:15: unknown key 'rnak' in 'adapter' (did you mean 'rank'?)"},
      {6, "    adapter: {method: full}",
       "6:23: adapter.method: full trains the base itself, which the other adapters share; expected an adapter's "
       "method for 'fr'"},
      {10, "    training: {epochs: 2, max_steps: 3}",
       "10:24: training.epochs: max_steps is given too; a run ends by one of the two"},
      {12, "output_dir: y\nother: x", "13:1: unknown key 'other'"},
      {12, "", "1:1: missing key 'output_dir'"},
  };
  for (const auto& [line, text, message] : table) {
    INFO(text);
    CHECK(list_error(list_with(line, text)) == "[recipe] a.yaml:" + message);
  }
  const std::string head = "model: {path: x}\noutput_dir: y\nadapters: ";
  CHECK(list_error(head + "{r: 8}\n") ==
        "[recipe] a.yaml:3:11: adapters: expected a list of adapters, each with a name and data of its own, found a "
        "map; a single adapter is described in 'adapter'");
  CHECK(list_error(head + "[]\n") ==
        "[recipe] a.yaml:3:11: adapters: expected a list of adapters, each with a name and data of its own, found an "
        "empty one; a single adapter is described in 'adapter'");
  CHECK(list_error(head + "[5]\n") == "[recipe] a.yaml:3:12: adapters.0: expected a map, found '5'");
  CHECK(error_of(kList) == "[recipe] a.yaml:5:3: adapters: a list of several runs; expected a recipe of one");
}

}  // namespace
}  // namespace lora::test
