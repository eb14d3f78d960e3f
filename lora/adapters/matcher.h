#pragma once
// Which modules a recipe means: PEFT's rules for target_modules and its kin, with one difference: a pattern of a recipe
// that matches nothing is an error (PEFT is silent or warns as long as another one matched). A file's is noted.

#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/config.h"

namespace lora {

// A module of the network, as far as matching needs to know it.
struct ModulePath {
  std::string path;        // "model.layers.0.self_attn.q_proj"
  bool linear;             // can carry an adapter
  bool output_head;        // left out by all-linear
  bool embedding = false;  // can carry an adapter too, and is left out by all-linear
};

// A module to adapt, with its rank and α after rank_pattern and alpha_pattern.
struct AdapterTarget {
  std::string path;
  int64_t rank;
  double alpha;
};

struct ModuleMatch {
  std::vector<AdapterTarget> targets;      // in the order of `modules`
  std::vector<std::string> saved_modules;  // paths that modules_to_save means
  std::vector<std::string> notes;          // a file's patterns that match nothing: "target_modules: w1"
};

// A pattern that matches nothing: a mistake in a recipe, of no account in a file.
struct UnmatchedPattern {
  std::string key;      // "target_modules"
  std::string pattern;  // of layers_to_transform: the number
  std::string problem;  // for a person, with the nearest names
};

// True when `path` is `name` or ends with "." + name.
bool is_name_or_suffix(const std::string& path, const std::string& name);

// Rank and α of a module that is adapted, after the patterns.
AdapterTarget adapter_target(const std::string& path, const AdapterConfig& config);

// Whether modules_to_save's `name` means the module: a path that ends so, as PEFT has it ("norm" is input_layernorm
// too).
bool is_saved_by(const std::string& path, const std::string& name);

// Applies, in PEFT's order: exclude_modules, modules_to_save, target_modules, layers_to_transform (with lists, and not
// to a module that is listed by its whole path), then the patterns for rank and α. Throws Error (exit code 2) that
// names the key, the pattern and the nearest names; of config.file, only where nothing is left to adapt.
ModuleMatch match_modules(const std::vector<ModulePath>& modules, const AdapterConfig& config);

// The patterns that match nothing, of a recipe's config as of a file's. Throws Error (exit code 2) for what is no
// pattern, such as an expression that cannot be read.
std::vector<UnmatchedPattern> unmatched_patterns(const std::vector<ModulePath>& modules, const AdapterConfig& config);

}  // namespace lora
