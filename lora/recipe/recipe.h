#pragma once
// A recipe: YAML to plain structs, once, and back. Nothing outside this folder sees a YAML type.

#include <filesystem>
#include <string>
#include <vector>

#include "lora/adapters/config.h"
#include "lora/data/config.h"
#include "lora/training/config.h"

namespace lora {

struct ModelSection {
  std::string path;                   // a Hugging Face directory
  std::string dtype = "auto";         // of the frozen base: float32 | bfloat16 | auto (as stored)
  std::string quantization = "none";  // of the layers' projections: none | int8 | nf4
  bool double_quantization = true;    // nf4: its scales in eight bits too
  std::string head = "none";          // none | sequence_classification
  std::string init = "pretrained";    // pretrained | random (config.json and tokenizer only, no weights read)
  bool operator==(const ModelSection&) const = default;
};

struct Recipe {
  ModelSection model;
  AdapterConfig adapter;
  DataConfig data;
  TrainingConfig training;
  EvaluationConfig evaluation;
  std::string output_dir;
  std::vector<std::string> exports;  // key `export`: peft | lora | torchscript | huggingface
  bool operator==(const Recipe&) const = default;
};

// Reads and validates a recipe; relative paths stay as written and are resolved against the current directory.
// `overrides` are "key.path=value" in order, value in YAML. Throws RecipeError
// "FILE:LINE:COLUMN: unknown key 'lora_rnak' in 'adapter' (did you mean 'rank'?)" before anything heavy is loaded.
Recipe load_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

// A recipe file's trainings on one base: a single one without a name, or one for each entry of its list `adapters` (see
// adapters_list.h), with what the file says for all of them and output_dir/NAME; each is the recipe that would train
// that adapter alone. What concerns the process (model, threads, memory) is the same in all.
struct NamedRecipe {
  std::string name;
  Recipe recipe;
};
// Errors as load_recipe's, which refuses a file with such a list.
std::vector<NamedRecipe> load_recipes(const std::filesystem::path& file,
                                      const std::vector<std::string>& overrides = {});

// The recipe as YAML with every default written out; load_recipe reads it back to an equal recipe.
std::string to_yaml(const Recipe& recipe);

// Keys whose values differ and that decide what a run trains, so that a checkpoint of one recipe is no start for the
// other: all of model, adapter and data, and of training seed, batch_size, max_length, packing, optimizer; with method
// adalora also the length of the run, which may change otherwise, as rates, evaluation, checkpoints and exports may.
std::vector<std::string> differing_keys(const Recipe& a, const Recipe& b);

// All of a data section that decides what samples its rows become, as text: equal for equal samples, as far as the
// recipe goes. A new key is part of it unless it says otherwise there.
std::string preparation_text(const DataConfig& data);

}  // namespace lora
