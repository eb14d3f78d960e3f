#include "lora/app/training/config_plan.h"

#include <filesystem>

#include "lora/adapters/inject.h"
#include "lora/app/data/recipe_data.h"
#include "lora/app/source/trained_model.h"
#include "lora/app/training/comparison.h"
#include "lora/app/training/machine.h"
#include "lora/app/training/quantization_report.h"
#include "lora/app/training/report.h"
#include "lora/data/tokenizer.h"
#include "lora/quantization/quantizer.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/text.h"

namespace lora {

namespace fs = std::filesystem;

bool has_config_alone(const ModelSection& section) {
  return section.init == ModelInit::kPretrained && fs::exists(fs::path(section.path) / "config.json") &&
         !has_weights(section.path);
}

std::string config_plan(const Recipe& recipe) {
  const TrainingConfig& training = recipe.training;
  const fs::path directory = recipe.model.path;
  const Labels labels = choose_labels(recipe);
  const auto model = make_meta(directory, recipe.model.dtype, head_names(recipe, labels),
                               make_quantizer({recipe.model.quantization, recipe.model.double_quantization}));
  AdapterConfig adapter = recipe.adapter;
  adapter.init_from.clear();  // of the same shapes, and not read
  const AdaptedModel adapted = inject(model, adapter, training.seed, /*fresh=*/false);
  const auto groups = make_parameter_groups(trainable_parameters(*model), training);

  std::string text =
      fact("Not read", "weights: " + directory.string() + " has none; shapes are those of its config.json");
  if (!recipe.model.new_tokens.empty()) text += fact("Not counted", "rows of model.new_tokens");
  DataNeed need{.longest = training.max_length, .distinct = model->config().vocab_size};
  if (fs::exists(directory / "tokenizer.model")) {
    const auto tokenizer = load_tokenizer(directory, recipe.model.new_tokens);
    const RecipeData data = load_recipe_data(recipe, *tokenizer, labels);
    if (!recipe.data.streaming) need = data_need(data.train, data.validation);
    const bool streamed = data.stream.samples != nullptr;
    text += fact("Training", (streamed ? "streamed; first " : "") +
                                 dataset_line(streamed ? data.stream.samples->window() : data.train));
  } else {
    text += fact("Not read", "data: " + directory.string() + " has no tokenizer.model; supposed are samples of " +
                                 with_commas(training.max_length) + " tokens that use every id");
  }
  const int64_t machine = machine_memory_bytes();
  const MemoryPlan plan = plan_memory(*model, groups, training, need, {machine});

  text += fact("Model", directory.string() + ": " + model_line(*model));
  if (const auto quantized = quantized_modules(*model); !quantized.empty()) {
    text += fact("Quantized", quantization_line(quantized));
  }
  text += fact("Memory", memory_line(plan) +
                             (plan.total() > machine ? "\nthis machine has " + as_bytes(machine) : std::string()));
  text += fact("Passes", passes_line(plan.execution));
  return text + fact("Adapter", recipe.adapter.method) + "\n" + adaptation_table(adapted) + "\n" +
         comparison_table(adapted, plan, baselines(adapted, training, need, plan));
}

}  // namespace lora
