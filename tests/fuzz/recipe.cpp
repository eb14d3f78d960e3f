// A recipe, with what follows a NUL as an override, as for a run on the project's small models. One that is read is
// written and read back to the same.

#include "lora/recipe/recipe.h"

#include "lora/recipe/modules.h"
#include "tests/fuzz/target.h"

namespace {

lora::Recipe read_text(const std::string& text) {
  const lora::test::MemoryFile file(text);
  return lora::load_recipe(file.path());
}

const lora::Recipe& other_recipe() {
  static const lora::Recipe recipe = read_text(
      "model: {path: tests/golden/models/default, device: cpu}\ndata: {train: [{path: a.jsonl, weight: 1.0}]}\n"
      "output_dir: o\ntraining: {max_steps: 3, seed: 9}\nadapter: {method: adalora, rank: 12}\n");
  return recipe;
}

}  // namespace

FUZZ_TARGET(recipe) {
  const auto [text, override] = lora::test::split_input(input);
  const lora::test::MemoryFile file(text);
  std::vector<std::string> overrides;
  if (!override.empty()) overrides.emplace_back(override);
  for (const auto& [name, recipe, notes] : lora::load_recipes(file.path(), overrides)) {
    if (!(read_text(lora::to_yaml(recipe)) == recipe)) ::abort();
    lora::differing_keys(other_recipe(), recipe);
    lora::allowed_changes(recipe, other_recipe());
    lora::preparation_text(recipe.data);
    if (recipe.model.path.starts_with("tests/golden/models/")) lora::mean_same_modules(recipe, other_recipe());
  }
  lora::load_recipes_to_run(file.path(), overrides);
}
