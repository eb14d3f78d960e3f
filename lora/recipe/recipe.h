#pragma once
// A recipe: from YAML to structs, once, and back. Nothing outside this folder sees a YAML type.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/config.h"
#include "lora/data/config.h"
#include "lora/training/config.h"
#include "models/base/names.h"
#include "models/network/new_rows.h"

namespace lora {

// The head that is trained beside the adapter; kNone: the model stays a language model.
enum class Head { kNone, kSequenceClassification };
inline const Names& names_of(Head) {
  static const Names names = {
      {"none", "sequence_classification"},
      {{"SEQ_CLS", "sequence_classification"}, {"classification", "sequence_classification"}, {"CAUSAL_LM", "none"}}};
  return names;
}

// Where the weights come from. kRandom: config.json and the tokenizer are read, the weights are drawn.
enum class ModelInit { kPretrained, kRandom };
inline const Names& names_of(ModelInit) {
  static const Names names = {{"pretrained", "random"}, {{"scratch", "random"}}};
  return names;
}

struct ModelSection {
  std::string path;                   // a Hugging Face directory
  std::string dtype = "auto";         // of the frozen base: one of dtype_names() in models/network/pretrained.h
  std::string quantization = "none";  // of the layers' projections: one of quantization_names()
  bool double_quantization = true;    // nf4: its scales in eight bits too
  Head head = Head::kNone;
  ModelInit init = ModelInit::kPretrained;
  std::vector<std::string> new_tokens = {};  // special tokens that tokenizer and vocabulary are to have besides
  NewRowsInit new_tokens_init = NewRowsInit::kCovariance;
  std::string device = "auto";  // one of device_names() in models/engine/devices.h
  bool operator==(const ModelSection&) const = default;
};

// What several processes share out: the passes of each step, or the adapters of the list `adapters`.
enum class DealtOut { kPasses, kAdapters };
inline const Names& names_of(DealtOut) {
  static const Names names = {{"passes", "adapters"}, {}};
  return names;
}

// A run on several processes.
struct DistributedSection {
  DealtOut by = DealtOut::kPasses;
  double timeout = 600;  // seconds that a process waits for the others
  bool operator==(const DistributedSection&) const = default;
};

// A recipe's adapter without keys: on every linear layer.
inline AdapterConfig recipe_adapter() {
  AdapterConfig adapter;
  adapter.target_modules = AllLinear{};
  return adapter;
}

// What is written of a run's metrics beside metrics.jsonl and report.html.
inline const Names& logging_names() {
  static const Names names = {{"tensorboard"}, {{"tb", "tensorboard"}}};
  return names;
}

struct Recipe {
  ModelSection model;
  AdapterConfig adapter = recipe_adapter();
  DataConfig data;
  TrainingConfig training;
  EvaluationConfig evaluation;
  DistributedSection distributed;
  std::string output_dir;
  // Key `export`: names of export_formats(). Where the whole network is trained, the default is huggingface.
  std::vector<std::string> exports = {"peft"};
  std::vector<std::string> logging = {};  // of logging_names()
  bool operator==(const Recipe&) const = default;
};

// Reads and validates a recipe. `overrides` are "key.path=value" in order, with the value in YAML. Paths are as
// find_paths() in paths.h leaves them. Throws a RecipeError with all that is wrong before anything heavy is loaded, a
// line each: "FILE:LINE:COLUMN: unknown key 'lora_rnak' in 'adapter' (did you mean 'rank'?)".
Recipe load_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

// The recipe that a run or a checkpoint has written. StorageError where the file cannot be read.
Recipe load_stored_recipe(const std::filesystem::path& file);

// The trainings of a recipe file, all on one base: a single one without a name, or one for each entry of its list
// `adapters` (see adapters_list.h). Each is the recipe that would train that adapter alone, in output_dir/NAME; all
// have the same model, threads and memory.
struct NamedRecipe {
  std::string name;
  Recipe recipe;
  std::vector<std::string> notes = {};  // for a person: keys that it sets and that have no effect
};
// Errors as load_recipe's. (load_recipe refuses a file with such a list.)
std::vector<NamedRecipe> load_recipes(const std::filesystem::path& file,
                                      const std::vector<std::string>& overrides = {});

// The same for a run that is to start: also refused are paths where there is nothing, with the exit code of their kind
// if nothing else is wrong, and an adapter that does not fit the modules of the model's config.json.
std::vector<NamedRecipe> load_recipes_to_run(const std::filesystem::path& file,
                                             const std::vector<std::string>& overrides = {});

// The recipe as YAML with every default written out; load_recipe reads it back to an equal recipe.
std::string to_yaml(const Recipe& recipe);
// Its section `adapter` alone, without that name.
std::string to_yaml(const AdapterConfig& adapter);

// Every key, from the top ("training.learning_rate"), with its value as to_yaml prints it; a list of sources is one value.
std::vector<std::pair<std::string, std::string>> values_of(const Recipe& recipe);

// The keys that decide what a run trains and whose values differ: a run of one recipe cannot continue from a checkpoint
// of the other. These keys are all of model but device, adapter and data; seed, objective, preference, batch_size, max_length,
// packing, optimizer and best_by of training; and, with method adalora, the length of the run. Other keys, such as
// rates and exports, may change. Two names of one file are equal.
std::vector<std::string> differing_keys(const Recipe& a, const Recipe& b);

// What differs of the keys that may change, of training, evaluation and device, for a person to see:
// "training.learning_rate: 0.0002 -> 0.0001".
std::vector<std::string> allowed_changes(const Recipe& before, const Recipe& now);

// The part of a data section that decides which samples its rows become, as text: equal texts mean equal samples of
// equal rows. A new key is part of it unless compare.cpp excludes it.
std::string preparation_text(const DataConfig& data);

}  // namespace lora
