// A file of axolotl, LLaMA-Factory or TRL, turned into a recipe. What comes out is YAML with keys of a recipe alone, and
// its reader takes it, or says what a person has to settle.

#include "lora/recipe/convert.h"
#include "lora/recipe/keys.h"
#include "lora/recipe/recipe.h"
#include "tests/fuzz/target.h"

namespace {

// Whether the maps of a tree have the keys of recipes' sections and no others.
bool has_known_keys(const lora::YamlNode& node, const std::string& section) {
  const auto keys = lora::known_keys().find(section);
  if (keys == lora::known_keys().end()) return true;
  for (const lora::YamlNode& item : node.items) {
    if (!has_known_keys(item, section)) return false;
  }
  return std::ranges::all_of(node.entries, [&](const lora::YamlEntry& entry) {
    return std::ranges::count(keys->second, entry.key) == 1 &&
           has_known_keys(entry.value, section.empty() ? entry.key : section + "." + entry.key);
  });
}

bool is_of_recipe(const std::string& text) {
  lora::Problems problems;
  try {
    const lora::YamlNode root = lora::parse_document(text, {"converted", true}, problems);
    return problems.empty() && lora::foreign_tool(root).empty() && has_known_keys(root, "");
  } catch (const lora::RecipeError&) {
    return false;
  }
}

}  // namespace

FUZZ_TARGET(foreign_recipe) {
  const lora::test::MemoryFile file(input);
  const std::string text = lora::converted_recipe(file.path());
  if (!is_of_recipe(text)) ::abort();
  const lora::test::MemoryFile converted(text);
  lora::load_recipe(converted.path());
}
