#pragma once
// What a person names as RUN_OR_ADAPTER: found on disk and understood, before anything heavy is loaded.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "lora/adapters/adapter_set.h"
#include "lora/data/chat_template.h"
#include "lora/data/tokenizer.h"
#include "lora/recipe/recipe.h"

namespace lora {

struct TrainedSource {
  std::filesystem::path directory;  // of a PEFT adapter, or of a checkpoint
  std::string base_model;           // as it says itself; may be empty
  AdapterConfig adapter;
  std::optional<Recipe> recipe;  // of a checkpoint
};

// Whether a directory with config.json and without adapter_config.json is meant: a whole model.
bool is_model(const std::string& path);

// Whether it is another directory that find_trained() takes, or that of a run of several adapters.
bool is_run_or_adapter(const std::string& path);

// A run directory (its newest whole checkpoint, or the best one where the recipe says keep_best), one of its
// checkpoints, or a PEFT adapter directory. StorageError for anything else.
// `ignored_options`: see read_peft_config().
TrainedSource find_trained(const std::string& run_or_adapter, const std::vector<std::string>& ignored_options = {});

// RecipeError where `path` is the file of a recipe, and not a directory; it names the recipe's run.
void expect_no_recipe(const std::string& path);

// Whether it was trained as a classifier.
bool is_classifier(const TrainedSource& source);

// The classes of a classifier on the base in that directory; none for a language model.
LabelNames labels_of(const TrainedSource& source, const std::string& base);

// The tokenizer in an adapter's directory, if it has more tokens than `base`; else null.
std::unique_ptr<Tokenizer> larger_tokenizer(const TrainedSource& source, const Tokenizer& base);

// The tokenizer of the base in that directory with the new tokens of the run, or else larger_tokenizer().
std::unique_ptr<Tokenizer> tokenizer_of(const TrainedSource& source, const std::string& base);

// The rows beyond a base's own that an adapter's file has. A run's follow from its recipe, see load_model().
NewRows new_rows_of(const TrainedSource& source);

// The chat template it was trained with, as data.template names one: the one that its recipe names for the first
// source, else that in its directory; auto where that is not known.
std::string template_of(const TrainedSource& source);

// The same as a template, for an export. Null where it was trained without conversations, and where that is not known.
std::shared_ptr<const ChatTemplate> chat_of(const TrainedSource& source, const Tokenizer& tokenizer);

// Puts the weights into a bare base of the right shape. ModelError where they do not fit.
AdaptedModel load_trained_into(const TrainedSource& source, std::shared_ptr<LlamaForCausalLM> model);
// The same by name, beside others; leaves it active.
void load_trained_into(const TrainedSource& source, AdapterSet& set, const std::string& name);

// False where both names say that they are of different models: neither the same directory nor the same last part.
bool may_be_same_base(const std::string& a, const std::string& b);

}  // namespace lora
