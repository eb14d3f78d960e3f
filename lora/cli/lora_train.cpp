// lora-train RECIPE.yaml [key.path=value …] [--resume] [--dry-run]

#include <filesystem>
#include <optional>

#include "lora/app/source/trained_model.h"
#include "lora/app/training/config_plan.h"
#include "lora/app/training/finish.h"
#include "lora/app/training/machine.h"
#include "lora/app/training/quantization_report.h"
#include "lora/app/training/run_report.h"
#include "lora/app/training/signals.h"
#include "lora/app/training/start_notes.h"
#include "lora/cli/program.h"
#include "lora/log/log.h"
#include "models/network/model_directory.h"

namespace lora {
namespace {

void say(const std::string& text) {
  if (text.empty()) return;
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

// What is said of one of several adapters.
std::string titled(const std::string& adapter, const std::string& text) {
  return adapter.empty() || text.empty() ? text : "\n" + adapter + "\n" + text;
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

// What a person reads before the first step.
void show(const std::vector<PlannedRun>& runs, bool dry_run) {
  for (const PlannedRun& run : runs) {
    for (const std::string& warning : run.prepared.warnings) log_warning(warning);
    for (const std::string& note : start_notes(run)) log_warning(run.name().empty() ? note : run.name() + ": " + note);
    if (dry_run) say(titled(run.name(), to_yaml(run.recipe())));
  }
  say(base_report(runs.front().model(), runs.front().recipe().model.path, dry_run));
  for (const PlannedRun& run : runs) {
    say(titled(run.name(), run_report(run)));
    if (dry_run) say(preview(run));
  }
}

int run(const std::string& recipe_file, const std::vector<std::string>& overrides, const RunOptions& options,
        char** argv) {
  const std::vector<NamedRecipe> recipes = load_recipes_to_run(recipe_file, overrides);
  for (const NamedRecipe& one : recipes) {
    for (const std::string& note : one.notes) log_warning(one.name.empty() ? note : one.name + ": " + note);
  }
  const Recipe& shared = recipes.front().recipe;  // what all share: the base and the process
  expect_model_directory(shared.model.path);
  // A recipe that comes through a pipe could not be read again.
  const bool again = !options.dry_run && std::filesystem::is_regular_file(recipe_file);
  if (again && is_large(shared.model.path)) ask_for_huge_pages(argv);
  set_threads(shared.training.threads);
  if (options.dry_run && has_config_alone(shared.model)) {
    for (const NamedRecipe& one : recipes) say(to_yaml(one.recipe) + config_plan(one.recipe));
    return 0;
  }
  const auto tokenizer = load_tokenizer(shared.model.path, shared.model.new_tokens);
  std::vector<PreparedRun> prepared = prepare_runs(recipes, options, *tokenizer);
  const auto model =
      load_model(shared.model, *tokenizer, shared.training.seed, head_names(shared, prepared.front().labels));
  AdapterSet adapters(model);
  std::vector<PlannedRun> planned;
  for (PreparedRun& run : prepared) {
    say(titled(run.name, long_work(run)));
    planned.push_back(adapt(std::move(run), adapters));
  }
  plan_memory_of(planned, machine_memory_bytes());
  show(planned, options.dry_run);
  if (options.dry_run) return 0;

  std::vector<ActiveRun> active;
  for (PlannedRun& run : planned) {
    active.emplace_back(std::move(run));
    say(titled(active.back().name(), active.back().reference_report()));
    say(titled(active.back().name(), resume_report(active.back())));
  }
  note_stop_signals();
  keep_freed_memory();
  train(active);
  bool stopped = false;
  std::optional<Error> failed;
  for (ActiveRun& run : active) {
    try {
      say(titled(run.name(), finish(run)));
    } catch (const Error& error) {
      if (run.name().empty()) throw;
      // The others' exports do not depend on this one.
      log_warning(run.name() + ": " + error.what());
      if (!failed) failed = error;
    }
    stopped |= run.end() == LoopEnd::kStopped;
  }
  if (failed) throw *failed;
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
  bool resume = false, restart = false;
  app.add_flag("--resume", resume, "Continue from the newest whole checkpoint in output_dir; anew where there is none");
  app.add_flag("--restart", restart,
               "Begin anew in an output_dir that holds a run, which is moved to a folder old-N of it")
      ->excludes("--resume");
  app.add_flag("--dry-run", options.dry_run,
               "Show the resolved recipe, what is adapted and the first rows; train nothing");
  app.add_flag("--profile", options.profile, "Show at the end where the time of the steps went");
  return lora::run_program(app, argc, argv, [&] {
    lora::wait_passively(argv);
    options.start = resume ? lora::Start::kResume : restart ? lora::Start::kRestart : lora::Start::kUnused;
    // Whoever reads the output may leave; the run still ends with its checkpoint and exports.
    std::signal(SIGPIPE, SIG_IGN);
    return lora::run(recipe, overrides, options, argv);
  });
}
