// A recipe, with what follows a NUL as an override. One that is read is written and read back to the same.

#include "lora/recipe/recipe.h"

#include "tests/fuzz/target.h"

FUZZ_TARGET(recipe) {
  const auto [text, override] = lora::test::split_input(input);
  const lora::test::MemoryFile file(text);
  std::vector<std::string> overrides;
  if (!override.empty()) overrides.emplace_back(override);
  for (const auto& [name, recipe, notes] : lora::load_recipes(file.path(), overrides)) {
    const lora::test::MemoryFile written(lora::to_yaml(recipe));
    if (!(lora::load_recipe(written.path()) == recipe)) ::abort();
    lora::differing_keys(recipe, recipe);
  }
}
