#pragma once
// A model with its tokenizer and adapter, put together in the same way by every program.

#include <memory>
#include <string>

#include "lora/adapters/adapted_model.h"
#include "lora/app/source/trained_source.h"
#include "lora/data/labels.h"
#include "lora/data/tokenizer.h"
#include "lora/export/export.h"
#include "lora/recipe/recipe.h"
#include "models/network/decoder.h"

namespace lora {

// The classes of a recipe whose model.head is sequence_classification: those of the adapter that it continues from,
// else of the model directory where that is a classifier, else of the training data (see collect_labels). None for
// another recipe.
Labels choose_labels(const Recipe& recipe, const CacheOptions& cache = {});

// The names of the outputs of the head that a run's model gets: the labels; of a reward model one, as transformers
// names it; none for a language model.
LabelNames head_names(const Recipe& recipe, const Labels& labels);

// Loads the network of a `model` section. The tokenizer may have ids for which it has no row. With labels it is a
// classifier, whose head is fresh unless the directory has one. A section with new_tokens gets rows for those of
// `tokenizer`; else `new_rows` says which rows are added. The device is the caller's choice, not the section's.
// `fetched`: the layers' frozen weights stay in the host's memory; for a device other than the CPU.
std::shared_ptr<LlamaForCausalLM> load_model(const ModelSection& section, const Tokenizer& tokenizer, uint64_t seed,
                                             const LabelNames& labels = {}, const NewRows& new_rows = {},
                                             at::Device device = at::kCPU, bool fetched = false);

// The device of such a name for the model of a section. auto: the first GPU whose free memory has room for its weights and
// for what an answer takes beside them, else the CPU. Throws as named_device does, and Error (exit code 4) where the named
// one has no room for the weights.
at::Device device_for(const std::string& name, const ModelSection& section);

// "llama, 5 layers, hidden 64, vocabulary 512, float32"
std::string model_line(const LlamaForCausalLM& model);

// The threads of ATen: as asked for, or the physical cores. Warns where LibTorch does not know the processor.
void set_threads(int64_t count);

struct TrainedModel {
  AdaptedModel adapted;  // of a base alone: with no adapter
  std::unique_ptr<Tokenizer> tokenizer;
  ModelSection section;  // what the base was loaded by
  uint64_t seed = 0;
  std::shared_ptr<const ChatTemplate> chat = {};  // that it was trained with; null: with none, or it is not known
  std::string line;                               // for a person: what was loaded
};

// Borrows from `trained`.
ExportSource export_source(const TrainedModel& trained, const ExportOptions& options = {});

// The base of `source` in that directory, with the tokens and rows that it adds: no adapter yet. ModelError where it is
// not a directory.
TrainedModel load_base(const std::string& model_directory, const TrainedSource& source,
                       const ModelSection& section = {}, uint64_t seed = 0, const LabelNames& labels = {},
                       const std::string& device = "cpu");

// A model's directory as it is, without an adapter: a language model or a classifier. `device`: see device_for().
TrainedModel load_plain(const std::string& model_directory, const std::string& dtype = "auto",
                        const std::string& device = "cpu");

// From what a person names as RUN_OR_ADAPTER: a run directory (its newest whole checkpoint, or the best one where the
// recipe says keep_best), one of its checkpoints, or a PEFT adapter directory. `model_path` overrides where the base
// is; `ignored_options`: see read_peft_config(). The device is not the one that the run was trained on.
TrainedModel load_trained(const std::string& run_or_adapter, const std::string& model_path,
                          const std::vector<std::string>& ignored_options = {}, const std::string& device = "cpu");
// The same, of a source that find_trained() returned.
TrainedModel load_trained(const TrainedSource& source, const std::string& model_path,
                          const std::string& device = "cpu");

}  // namespace lora
