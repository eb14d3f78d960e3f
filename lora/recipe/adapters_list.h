#pragma once
// The list `adapters` of a recipe: each entry, together with what the recipe says for all entries, is a recipe of its
// own.
//
//   adapter: {method: lora, target_modules: [q_proj, v_proj]}     # for all, where an entry does not say otherwise
//   training: {max_steps: 200}
//   adapters:
//     - {name: fr, adapter: {rank: 16}, data: {train: [...]}, training: {learning_rate: 1.0e-3}}
//     - {name: de, data: {train: [...]}}
//   output_dir: runs/both                                          # fr's run is in runs/both/fr
//
// An entry may have adapter, data, training, evaluation and export. A key inside these replaces the shared key as a
// whole. max_steps and epochs replace each other, and so do warmup_steps and warmup_ratio, and validation and
// validation_split.

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "lora/recipe/document.h"
#include "lora/recipe/problems.h"

namespace lora {

// The sections that an entry may have.
inline constexpr std::array<std::string_view, 5> kOwnSections = {"adapter", "data", "training", "evaluation", "export"};
// Keys of training that one process, and one base, have only once.
inline constexpr std::array<std::string_view, 4> kSharedTraining = {"threads", "memory", "memory_limit", "fused"};

struct NamedTree {
  std::string name;
  YamlNode root;  // its nodes keep their places in the file
};

// Whether the tree has a list `adapters`.
bool has_adapters(const YamlNode& root);

// Throws RecipeError at its place for `adapters` that is not a list or is empty. Notes in `problems`, and continues
// after, an entry that is not a map; a name that is missing, given twice or not valid; a key that an entry cannot have;
// and data.train beside the list.
std::vector<NamedTree> split_adapters(const YamlNode& root, Problems& problems);

}  // namespace lora
