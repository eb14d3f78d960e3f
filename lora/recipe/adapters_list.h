#pragma once
// The list `adapters` of a recipe, taken apart: each entry with what the recipe says for all of them is the tree of a
// recipe of its own.
//
//   adapter: {method: lora, target_modules: [q_proj, v_proj]}     # for all, where an entry does not say otherwise
//   training: {max_steps: 200}
//   adapters:
//     - {name: fr, adapter: {rank: 16}, data: {train: [...]}, training: {learning_rate: 1.0e-3}}
//     - {name: de, data: {train: [...]}}
//   output_dir: runs/both                                          # fr's run is in runs/both/fr
//
// An entry may have adapter, data, training, evaluation and export; within these a key of its own takes the place of
// the shared one as a whole, and max_steps and epochs take each other's.

#include <string>
#include <vector>

#include "lora/recipe/document.h"

namespace lora {

struct NamedTree {
  std::string name;
  YamlNode root;  // its places are those of the file
};

// Whether the tree has a list `adapters`.
bool has_adapters(const YamlNode& root);

// Throws RecipeError at its place for a list that is none or empty, a name that is missing, given twice or none, a key
// that an entry cannot have, and for data.train beside the list.
std::vector<NamedTree> split_adapters(const YamlNode& root);

}  // namespace lora
