// lora-train RECIPE.yaml [key.path=value …] [--resume] [--dry-run]

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <filesystem>

#include "lora/app/source/trained_model.h"
#include "lora/app/training/config_plan.h"
#include "lora/app/training/machine.h"
#include "lora/app/training/quantization_report.h"
#include "lora/app/training/signals.h"
#include "lora/app/training/training_runs.h"
#include "lora/cli/program.h"
#include "lora/log/log.h"

namespace lora {
namespace {

void say(const std::string& text) {
  if (text.empty()) return;
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

// What is said of one of several adapters.
std::string titled(const TrainingRun& run, const std::string& text) {
  return run.name().empty() || text.empty() ? text : "\n" + run.name() + "\n" + text;
}

// Small models gain nothing by huge pages, and take more memory.
bool is_large(const std::string& model_directory) {
  constexpr uintmax_t kLarge = 100'000'000;  // bytes
  uintmax_t bytes = 0;
  std::error_code ignored;
  for (const auto& file : std::filesystem::directory_iterator(model_directory, ignored)) {
    if (file.path().extension() == ".safetensors") bytes += file.file_size(ignored);
  }
  return bytes >= kLarge;
}

int train(const std::string& recipe_file, const std::vector<std::string>& overrides, const RunOptions& options,
          char** argv) {
  const std::vector<NamedRecipe> recipes = load_recipes(recipe_file, overrides);
  const Recipe& shared = recipes.front().recipe;  // of what is the same in all: the base and the process
  // A recipe that comes through a pipe could not be read again.
  const bool again = !options.dry_run && std::filesystem::is_regular_file(recipe_file);
  if (again && is_large(shared.model.path)) ask_for_huge_pages(argv);
  set_threads(shared.training.threads);
  if (options.dry_run && has_config_alone(shared.model)) {
    for (const NamedRecipe& one : recipes) say(to_yaml(one.recipe) + config_plan(one.recipe));
    return 0;
  }
  const auto tokenizer = load_tokenizer(shared.model.path);
  const TrainingRuns runs = make_runs(recipes, options, *tokenizer);
  const auto model = load_model(shared.model, *tokenizer, shared.training.seed, runs.front()->labels().names());
  AdapterSet adapters(model);
  for (const auto& run : runs) {
    say(titled(*run, run->long_work()));
    run->adapt(adapters);
  }
  plan_runs(runs, machine_memory_bytes());

  for (const auto& run : runs) {
    for (const std::string& warning : run->warnings()) log_warning(warning);
    if (options.dry_run) say(titled(*run, to_yaml(run->recipe())));
  }
  say(std::string("lora-train ") + LORA_VERSION + ", LibTorch " + TORCH_VERSION + ", " +
      std::to_string(at::get_num_threads()) + " threads");
  say("Model       " + shared.model.path + ": " + model_line(*model));
  const auto quantized = quantized_modules(*model);
  if (!quantized.empty()) say("Quantized   " + quantization_line(quantized));
  if (!quantized.empty() && options.dry_run) say(quantization_table(quantized));
  for (const auto& run : runs) {
    say(titled(*run, run->report()));
    if (options.dry_run) say(run->preview());
  }
  if (options.dry_run) return 0;

  for (const auto& run : runs) say(titled(*run, run->begin()));
  note_stop_signals();
  keep_freed_memory();
  take_turns(runs);
  bool stopped = false;
  for (const auto& run : runs) {
    say(titled(*run, run->finish()));
    stopped |= run->end() == LoopEnd::kStopped;
  }
  return stopped ? 128 + stop_signal() : 0;
}

}  // namespace
}  // namespace lora

int main(int argc, char** argv) {
  CLI::App app("Fine-tunes a LLaMA-style model with LoRA as a recipe says.", "lora-train");
  std::string recipe;
  std::vector<std::string> overrides;
  lora::RunOptions options;
  app.add_option("RECIPE", recipe, "The recipe, a YAML file")->required();
  app.add_option("OVERRIDES", overrides, "key.path=value, in place of what the recipe says; value is YAML");
  app.add_flag("--resume", options.resume,
               "Go on from the newest whole checkpoint in output_dir; afresh where there is none");
  app.add_flag("--dry-run", options.dry_run,
               "Show the resolved recipe, what is adapted and the first rows; train nothing");
  app.add_flag("--profile", options.profile, "Show at the end where the time of the steps went");
  return lora::run_program(app, argc, argv, [&] { return lora::train(recipe, overrides, options, argv); });
}
