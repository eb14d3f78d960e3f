// lora-train RECIPE.yaml [key.path=value …] [--resume] [--dry-run], alone or under mpirun and srun; and what helps to
// write a recipe

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "lora/app/source/trained_model.h"
#include "lora/app/training/agreement.h"
#include "lora/app/training/config_plan.h"
#include "lora/app/training/finish.h"
#include "lora/app/training/machine.h"
#include "lora/app/training/machine_share.h"
#include "lora/app/training/quantization_report.h"
#include "lora/app/training/report.h"
#include "lora/app/training/run_device.h"
#include "lora/app/training/run_report.h"
#include "lora/app/training/signals.h"
#include "lora/app/training/start_notes.h"
#include "lora/cli/override_keys.h"
#include "lora/cli/program.h"
#include "lora/distributed/team.h"
#include "lora/log/log.h"
#include "lora/recipe/convert.h"
#include "lora/recipe/schema.h"
#include "lora/recipe/starting.h"
#include "lora/terminal/busy.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/output.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/atomic_file.h"
#include "models/base/numbers.h"
#include "models/network/model_directory.h"

namespace lora {
namespace {

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
void show(const std::vector<PlannedRun>& runs, const RunDevice& chosen, bool dry_run) {
  for (const PlannedRun& run : runs) {
    for (const std::string& warning : run.prepared.warnings) log_warning(warning);
    for (const std::string& note : start_notes(run)) log_warning(run.name().empty() ? note : run.name() + ": " + note);
    if (dry_run) say(titled(run.name(), to_yaml(run.recipe()) + "\n"));
  }
  say(base_report(runs.front().model(), runs.front().recipe().model.path, dry_run));
  if (!chosen.line.empty()) say(fact("Device", chosen.line));
  for (const PlannedRun& run : runs) {
    say(titled(run.name(), run_report(run)));
    if (dry_run) say(preview(run));
  }
}

// Before MPI begins and anything is said, for the program may start again. What is wrong with the recipe is said later.
void ask_for_huge_pages_of(const std::string& recipe_file, const std::vector<std::string>& overrides, char** argv) {
  // A recipe that comes through a pipe could not be read again.
  if (!std::filesystem::is_regular_file(recipe_file)) return;
  try {
    if (is_large(load_recipes(recipe_file, overrides).front().recipe.model.path)) ask_for_huge_pages(argv);
  } catch (const Error&) {
  }
}

// The process of rank 0 speaks for all.
void say_nothing() {
  log_nothing();
  if (!std::freopen("/dev/null", "w", stdout)) std::fclose(stdout);
}

// What a person reads about the processes of a run: those of the first adapter, where there are several.
std::string processes_of(const std::vector<PlannedRun>& runs, const MachineShare& share) {
  if (runs.front().trainer->replicas().count() == 1) return "";
  int64_t bytes = 0;
  for (const PlannedRun& run : runs) {
    expect_enough_passes(run.trainer->replicas(), run.trainer->passes_a_step(), run.name());
    bytes = std::max(bytes, run.plan.total());
  }
  const Trainer& first = *runs.front().trainer;
  return processes_report(runs.front().trainer->replicas(), share, first.passes_a_step(), first.sum_order(), bytes);
}

// What differs between the processes before they read anything heavy.
void expect_same_recipes(Replicas& replicas, const std::vector<NamedRecipe>& recipes) {
  if (replicas.count() == 1) return;
  std::string text;
  for (const NamedRecipe& one : recipes) text += one.name + "\n" + to_yaml(one.recipe);
  expect_agreement(replicas, {own_program(), {"recipe", text}});
}

// Leaves this process its group's part of the adapters, and makes options.replicas that group: as many groups as there
// are processes, or adapters where these are fewer.
void deal_out_adapters(Team& team, std::vector<NamedRecipe>& recipes, RunOptions& options) {
  const Replicas& all = *options.replicas;
  const int64_t adapters = std::ssize(recipes), groups = std::min(all.count(), adapters);
  int64_t group = 0;
  while ((group + 1) * all.count() / groups <= all.rank()) ++group;
  std::string dealt = fact("Processes", std::to_string(all.count()) + ", dealt out by adapter:");
  const auto first_of = [&](int64_t of) { return of * adapters / groups; };
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = g * all.count() / groups, last = (g + 1) * all.count() / groups - 1;
    std::string names;
    for (int64_t i = first_of(g); i < first_of(g + 1); ++i) {
      names += (i > first_of(g) ? ", " : "") + recipes[as_size(i)].name;
    }
    dealt +=
        "  rank " + std::to_string(first) + (last > first ? " to " + std::to_string(last) : "") + ": " + names + "\n";
  }
  say(dealt);
  recipes = {recipes.begin() + first_of(group), recipes.begin() + first_of(group + 1)};
  team.split(group);
  options.replicas = team.replicas();
}

int run(Team& team, const std::string& recipe_file, const std::vector<std::string>& overrides, RunOptions options) {
  std::vector<NamedRecipe> recipes = load_recipes_to_run(recipe_file, overrides);
  for (const NamedRecipe& one : recipes) {
    for (const std::string& note : one.notes) log_warning(one.name.empty() ? note : one.name + ": " + note);
  }
  const Recipe shared = recipes.front().recipe;  // what all share: the base and the process
  auto busy = std::make_unique<Busy>("starting");
  expect_same_recipes(*options.replicas, recipes);
  team.set_timeout(shared.distributed.timeout);
  expect_model_directory(shared.model.path);
  const MachineShare share = share_machine(*options.replicas, team.is_bound_by_default(), shared.training.threads);
  set_threads(share.threads);
  const int64_t memory = shared_memory_bytes(*options.replicas, share, machine_memory_bytes());
  if (options.dry_run && has_config_alone(shared.model)) {
    busy->next("planning");
    for (const NamedRecipe& one : recipes) say(to_yaml(one.recipe) + config_plan(one.recipe) + "\n");
    return 0;
  }
  if (options.together && shared.distributed.by == DealtOut::kAdapters && recipes.size() > 1) {
    deal_out_adapters(team, recipes, options);
  }
  busy->next("reading the tokenizer");
  const auto tokenizer = load_tokenizer(shared.model.path, shared.model.new_tokens);
  std::vector<PreparedRun> prepared = prepare_runs(recipes, options, *tokenizer);
  busy->next("choosing the device");
  const RunDevice chosen = choose_run_device(prepared, share.rank, memory);
  busy->next("loading the model");
  const auto model =
      load_model(shared.model, *tokenizer, shared.training.seed, head_names(shared, prepared.front().labels), {},
                 chosen.device, chosen.room.layers == LayerWeights::kFetched);
  AdapterSet adapters(model);
  std::vector<PlannedRun> planned;
  for (PreparedRun& run : prepared) {
    const std::string work = long_work(run);
    say(titled(run.name, work));
    busy->next(work_of(run.name, work.empty() ? "preparing the adapter" : "decomposing the weights"));
    planned.push_back(adapt(std::move(run), adapters));
  }
  busy->next("planning");
  plan_memory_of(planned, chosen.room);
  int64_t largest = 0;
  for (const PlannedRun& run : planned) largest = std::max(largest, run.plan.total());
  expect_room(chosen, largest);
  show(planned, chosen, options.dry_run);
  say(processes_of(planned, share));
  if (options.dry_run) return 0;

  busy->next("beginning");
  std::vector<ActiveRun> active;
  for (PlannedRun& run : planned) {
    active.emplace_back(std::move(run));
    say(titled(active.back().name(), active.back().reference_report()));
    say(titled(active.back().name(), resume_report(active.back())));
  }
  note_stop_signals(options.together);
  keep_freed_memory();
  busy.reset();
  train(active);
  busy = std::make_unique<Busy>("ending");
  int stopped_by = 0;
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
    if (run.end() == LoopEnd::kStopped) stopped_by = std::max(stopped_by, run.stopped_by());
  }
  if (failed) throw *failed;
  return stopped_by == 0 ? 0 : 128 + stopped_by;
}

int list_recipes() {
  const std::filesystem::path directory = starting_recipes_directory();
  std::vector<std::vector<std::string>> rows;
  for (const StartingRecipe& recipe : starting_recipes(directory)) rows.push_back({recipe.name, recipe.about});
  say(named_rows(rows) + sentence("They are in " + directory.string() + "; lora-train --new NAME writes one to edit."));
  return 0;
}

Offer offer_recipe_names() {
  Offer offer;
  try {
    for (const auto& recipe : starting_recipes(starting_recipes_directory())) offer.words.push_back(recipe.name);
  } catch (const RecipeError&) {  // a program that is built far from them offers none
  }
  return offer;
}

// `path`: where it is written; empty: NAME.yaml here. `programs`: in front of a program's name.
int write_new_recipe(const std::string& name, const std::string& path, const std::string& programs) {
  const std::filesystem::path file = path.empty() ? name + ".yaml" : path;
  const std::string text = starting_recipe(starting_recipes_directory(), name);
  if (std::filesystem::exists(file)) {
    throw RecipeError("--new: " + file.string() + " is there already; expected the name of a file that is not");
  }
  write_file_atomically(file, text);
  say(sentence("wrote " + file.string()) +
      command_to_copy("Edit it, then:", {programs + "lora-train", file.string(), "--dry-run"}));
  return 0;
}

}  // namespace
}  // namespace lora

int main(int argc, char** argv) {
  lora::Program app("Fine-tunes a LLaMA-style model with LoRA as a recipe says.", "lora-train");
  std::string recipe;
  std::vector<std::string> overrides;
  lora::RunOptions options;
  app.add_option("RECIPE", recipe, "The recipe, a YAML file");
  app.add_option("OVERRIDES", overrides, "key.path=value, in place of what the recipe says; value is YAML")
      ->type_name("KEY=VALUE");
  app.offers["OVERRIDES"] = lora::offer_override_keys;
  bool resume = false, restart = false;
  app.add_flag("--resume", resume, "Continue from the newest whole checkpoint in output_dir; anew where there is none");
  app.add_flag("--restart", restart,
               "Begin anew in an output_dir that holds a run, which is moved to a folder old-N of it")
      ->excludes("--resume");
  app.add_flag("--dry-run", options.dry_run,
               "Show the resolved recipe, what is adapted and the first rows; train nothing");
  app.add_flag("--profile", options.profile, "Show at the end where the time of the steps went");
  bool list = false, schema = false;
  std::string name, foreign;
  app.add_flag("--list-recipes", list, "List the recipes to start from");
  app.add_option("--new", name, "Write the recipe of this name to start from, to NAME.yaml or to RECIPE")
      ->type_name("NAME");
  app.offers["--new"] = lora::offer_recipe_names;
  app.add_option("--convert", foreign,
                 "Print the recipe that does what this file of axolotl, LLaMA-Factory or TRL does")
      ->type_name("FILE");
  app.add_flag("--schema", schema, "Print the recipe's JSON Schema, by which editors complete and check");
  return lora::run_program(app, argc, argv, [&] {
    if (schema) {
      std::fputs(lora::recipe_schema().c_str(), stdout);
      return 0;
    }
    if (list) return lora::list_recipes();
    if (!foreign.empty()) {
      std::fputs(lora::converted_recipe(foreign).c_str(), stdout);
      return 0;
    }
    const std::string program = argv[0];
    options.programs = program.substr(0, program.rfind('/') + 1);
    if (!name.empty()) return lora::write_new_recipe(name, recipe, options.programs);
    if (recipe.empty()) {
      throw lora::RecipeError(
          "RECIPE: none is given; expected lora-train RECIPE.yaml. --list-recipes shows some to "
          "start from");
    }
    lora::wait_passively(argv);
    options.start = resume ? lora::Start::kResume : restart ? lora::Start::kRestart : lora::Start::kUnused;
    // Whoever reads the output may leave; the run still ends with its checkpoint and exports.
    std::signal(SIGPIPE, SIG_IGN);
    if (!options.dry_run) lora::ask_for_huge_pages_of(recipe, overrides, argv);
    lora::Team team;
    options.replicas = team.replicas();
    options.together = options.replicas->count() > 1;
    if (options.together) lora::expect_no_terminal();
    if (options.replicas->rank() > 0) lora::say_nothing();
    return team.run([&] { return lora::run(team, recipe, overrides, options); },
                    [] { return lora::failure_of_exception("lora-train"); });
  });
}
