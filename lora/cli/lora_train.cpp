// lora-train RECIPE.yaml [key.path=value …] [--resume] [--dry-run]

#include <ATen/Parallel.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "lora/adapters/method.h"
#include "lora/checkpoints/training_state.h"
#include "lora/cli/program.h"
#include "lora/data/render.h"
#include "lora/log/log.h"
#include "lora/run/comparison.h"
#include "lora/run/config_plan.h"
#include "lora/run/confusion_report.h"
#include "lora/run/exact_match.h"
#include "lora/run/machine.h"
#include "lora/run/merging.h"
#include "lora/run/quantization_report.h"
#include "lora/run/report.h"
#include "lora/run/run_directory.h"
#include "lora/run/session.h"
#include "lora/run/signals.h"
#include "lora/run/text.h"
#include "lora/training/loop.h"

namespace lora {
namespace {

void say(const std::string& text) {
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

// The first steps' rows as the model will see them.
void preview(const Trainer& trainer, const Dataset& train, const Tokenizer& tokenizer, const Labels& labels,
             const TrainingConfig& config) {
  const bool colour = isatty(STDOUT_FILENO) != 0;
  const auto rows = static_cast<size_t>(std::min<int64_t>(config.batch_size, 4));
  say("First rows (" + std::string(colour ? "dim" : "in ⟦ ⟧") + ": read, not trained on)");
  for (size_t i = 0; i < std::min(rows, trainer.epoch_rows().size()); ++i) {
    say("\n  row " + std::to_string(i + 1));
    for (const int64_t sample : trainer.epoch_rows()[i].samples) {
      const Sample& one = train.samples[static_cast<size_t>(sample)];
      const std::string label = one.label == kNoLabel ? "" : "  → " + labels.names()[static_cast<size_t>(one.label)];
      say(render_sample(one, tokenizer, colour) + label);
    }
  }
}

int train(const std::string& recipe_file, const std::vector<std::string>& overrides, bool resume, bool dry_run,
          bool profile) {
  Recipe recipe = load_recipe(recipe_file, overrides);
  set_threads(recipe.training.threads);
  if (dry_run && has_config_alone(recipe.model)) {
    say(to_yaml(recipe) + config_plan(recipe));
    return 0;
  }
  std::optional<RunDirectory> run;
  if (!dry_run) {
    run.emplace(recipe.output_dir, resume);
    run->expect_same_run(recipe);
    for (const std::string& warning : run->warnings()) log_warning(warning);
  }

  Session session;
  session.tokenizer = load_tokenizer(recipe.model.path);
  const Labels labels = choose_labels(recipe);
  const int64_t max_length = recipe.training.max_length;
  const Dataset train_set = load_dataset(recipe.data.train, *session.tokenizer, max_length, labels);
  const bool validate = !recipe.data.validation.empty();
  const Dataset validation_set = load_dataset(recipe.data.validation, *session.tokenizer, max_length, labels);
  session.model = load_model(recipe.model, *session.tokenizer, recipe.training.seed, labels.names());
  const bool fresh = run && !run->resume_from();
  if (fresh && starts_from_base(recipe.adapter)) {
    say("Start       from the base's weights (" + recipe.adapter.init + ")");
  }
  session.adaptation = inject(*session.model, recipe.adapter, recipe.training.seed, fresh);
  Trainer trainer(*session.model, recipe.training, train_set, validate ? &validation_set : nullptr,
                  recipe.data.shuffle);
  recipe.adapter.adalora.total_step = trainer.total_steps();
  trainer.set_hooks(training_hooks(session.adaptation, recipe.adapter, trainer.total_steps()));

  const DataNeed need = data_need(train_set, validation_set);
  const MemoryPlan plan = plan_memory(*session.model, trainer.groups(), recipe.training, need, machine_memory_bytes(),
                                      trainer.method_bytes());
  trainer.set_plan(plan.tokens, plan.recompute);

  if (dry_run) say(to_yaml(recipe));
  say(std::string("lora-train ") + LORA_VERSION + ", LibTorch " + TORCH_VERSION + ", " +
      std::to_string(at::get_num_threads()) + " threads");
  say("Model       " + recipe.model.path + ": " + model_line(*session.model));
  const auto quantized = quantized_modules(*session.model);
  if (!quantized.empty()) say("Quantized   " + quantization_line(quantized));
  say("Training    " + dataset_line(train_set));
  if (validate) say("Validation  " + dataset_line(validation_set));
  if (!labels.empty()) say("Labels      " + labels_line(train_set, labels.names()));
  say("Memory      " + memory_line(plan));
  say("Passes      " + passes_line(plan, recipe.training));
  say("Layers      " + layers_line(*session.model));
  say("Adapter     " + recipe.adapter.method + "\n\n" + adaptation_table(session.adaptation));
  say(comparison_table(session.adaptation, recipe.adapter, plan,
                       baselines(*session.model, session.adaptation, recipe.adapter, recipe.training, need, plan)));
  if (trainer.groups().size() > 1) say(groups_table(trainer.groups()));
  say(std::to_string(trainer.total_steps()) + " steps of " + std::to_string(recipe.training.batch_size) + " rows, " +
      std::to_string(trainer.steps_per_epoch()) + " steps an epoch\n");
  if (dry_run) {
    if (!quantized.empty()) say(quantization_table(quantized));
    preview(trainer, train_set, *session.tokenizer, labels, recipe.training);
    return 0;
  }

  std::vector<Example> examples;
  if (recipe.evaluation.exact_match > 0) {
    examples = load_examples(recipe.data.validation);
    examples.resize(std::min(examples.size(), static_cast<size_t>(recipe.evaluation.exact_match)));
  }
  const auto answer = [&] {
    return answer_examples(*session.model, *session.tokenizer, examples, recipe.evaluation.max_new_tokens);
  };
  std::optional<Answers> before;
  if (run->resume_from()) {
    read_training_state(run->resume_from()->directory, *session.model, session.adaptation, trainer);
    say("Resuming after step " + std::to_string(trainer.progress().step));
  } else if (!examples.empty()) {
    before = answer();
  }
  run->begin(recipe);
  const auto rows = static_cast<int64_t>(examples.size());
  if (before) run->write_exact_match(0, 0.0, trainer.evaluate().loss, before->exact, rows);

  note_stop_signals();
  const double peak_flops = measured_peak(session.model->dtype());
  const std::string recipe_yaml = to_yaml(recipe);
  double epoch = 0;
  WorkTimes times;
  double profiled_seconds = 0;
  int64_t profiled_steps = 0;
  std::optional<Evaluation> evaluated;  // of the weights as they are
  LoopEnd end;
  {
    ProgressDisplay display(trainer.progress().step, trainer.total_steps());
    LoopEvents events;
    events.on_step = [&](const StepMetrics& metrics) {
      epoch = metrics.epoch;
      run->write_step(metrics, peak_flops);
      display.step(metrics);
      // The first step also touches every weight for the first time.
      if (profile && profiled_steps++ == 0) {
        trainer.set_profile(&times);
      } else {
        profiled_seconds += metrics.seconds;
      }
    };
    events.on_evaluation = [&](const Evaluation& evaluation, bool best) {
      evaluated = evaluation;
      run->write_evaluation(trainer.progress(), epoch, evaluation);
      display.evaluation(trainer.progress().step, evaluation, best);
    };
    events.save = [&] {
      run->sync_metrics();
      const Progress& progress = trainer.progress();
      run->checkpoints().write(progress.step, [&](const std::filesystem::path& directory) {
        write_training_state(directory, *session.model, session.adaptation, recipe.adapter, trainer, recipe.model.path,
                             recipe_yaml);
      });
      run->checkpoints().prune(recipe.training.checkpoint_keep, {progress.best_step});
    };
    events.stop_requested = [] { return stop_signal() != 0; };
    end = run_loop(trainer, recipe.training, events);
  }
  if (profile && profiled_steps > 1) {
    say("\n" + profile_table(times, profiled_steps - 1, profiled_seconds, peak_flops));
  }
  const Progress progress = trainer.progress();
  if (end == LoopEnd::kStopped) {
    say("Stopped after step " + std::to_string(progress.step) + "; the checkpoint is written, go on with --resume");
    return 128 + stop_signal();
  }
  if (end == LoopEnd::kEarlyStopping) {
    say("Stopped early: no better validation loss in " + std::to_string(progress.evaluations_without_gain) +
        " evaluations");
  }
  if (recipe.training.keep_best && progress.best_step > 0 && progress.best_step != progress.step) {
    read_trained_weights(run->checkpoints().verified(progress.best_step), *session.model, session.adaptation);
    say("The best weights are those of step " + std::to_string(progress.best_step) + ", with a validation loss of " +
        fixed(progress.best_loss, 4));
    evaluated.reset();
  }

  if (!examples.empty()) {
    const Answers after = answer();
    run->write_exact_match(progress.step, epoch, trainer.evaluate().loss, after.exact, rows);
    say("\n" + answers_report(examples, before ? &*before : nullptr, after, recipe.evaluation.show));
  }
  if (validate && !labels.empty()) {
    // None where a finished run was resumed.
    if (!evaluated) evaluated = trainer.evaluate();
    say("\n" + confusion_report(evaluated->confusion, labels.names()));
  }
  std::vector<std::vector<std::string>> written;
  for (const std::string& name : recipe.exports) {
    const auto output = run->path() / export_formats().at(name).default_name;
    const std::string line =
        write_export(name, session, {recipe.model, recipe.adapter, recipe.training.seed}, MergeInto::kOriginal, output);
    written.push_back({"wrote", output.string(), line});
  }
  const auto newest = run->checkpoints().directory(progress.step);
  written.push_back({"wrote", newest.string(), "go on from here with --resume"});
  say(table(written, {false, false, false}));
  return 0;
}

}  // namespace
}  // namespace lora

int main(int argc, char** argv) {
  CLI::App app("Fine-tunes a LLaMA-style model with LoRA as a recipe says.", "lora-train");
  std::string recipe;
  std::vector<std::string> overrides;
  bool resume = false, dry_run = false, profile = false;
  app.add_option("RECIPE", recipe, "The recipe, a YAML file")->required();
  app.add_option("OVERRIDES", overrides, "key.path=value, in place of what the recipe says; value is YAML");
  app.add_flag("--resume", resume, "Go on from the newest whole checkpoint in output_dir; afresh where there is none");
  app.add_flag("--dry-run", dry_run, "Show the resolved recipe, what is adapted and the first rows; train nothing");
  app.add_flag("--profile", profile, "Show at the end where the time of the steps went");
  return lora::run_program(app, argc, argv, [&] { return lora::train(recipe, overrides, resume, dry_run, profile); });
}
