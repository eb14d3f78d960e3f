#pragma once
// Another trainer's file while it is turned into a recipe, for this room's sources: its tree, what the recipe has become
// so far, and how its values are read.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lora/recipe/converted.h"
#include "lora/recipe/document.h"

namespace lora {

struct ForeignFile {
  const YamlNode& root;
  std::string tool;  // as foreign_tool() names it
  ConvertedRecipe recipe = {};
  std::set<std::string> said = {};                // our paths of which the file says something
  bool has_prompts = false;                       // a source is more than plain text
  std::optional<int64_t> rows = {}, passes = {};  // rows of a pass, passes of a step

  // The value of a key that has one; null where there is none.
  const YamlNode* given(const std::string& key) const;
  bool asks_for(const std::string& key) const;  // true, or auto
  bool refuses(const std::string& key) const;   // false
};

// Does what the tool does where its file is silent, as foreign_defaults.h has it, once its keys are converted.
void fill_gaps(ForeignFile& file);

// Our key of that name or, by the synonyms, of that meaning; empty where there is none.
std::string own_path(const std::string& key);
// Our own default, as to_yaml prints it; empty for a key without one.
std::string own_default(const std::string& path);

// In flow style, in one line.
std::string flow_text(const YamlNode& node);
bool is_true(const YamlNode& node);       // or auto
bool says_nothing(const YamlNode& node);  // false, or empty
double number_in(const YamlNode& node, double otherwise);
int64_t count_in(const YamlNode& node, int64_t otherwise);  // from 0 to a billion
// The items of a list, or the words of a text between commas.
std::vector<std::string> words_of(const YamlNode& node);

}  // namespace lora
