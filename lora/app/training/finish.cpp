#include "lora/app/training/finish.h"

#include <algorithm>

#include "lora/adapters/registry.h"
#include "lora/app/data/cleaning_report.h"
#include "lora/app/data/data_report.h"
#include "lora/app/source/merging.h"
#include "lora/app/training/confusion_report.h"
#include "lora/app/training/report.h"
#include "lora/checkpoints/training_state.h"
#include "lora/terminal/facts.h"
#include "lora/terminal/table.h"
#include "lora/terminal/text.h"

namespace lora {
namespace {

// Every row that was read, which the first window does not tell.
std::string stream_report(const PreparedRun& run) {
  LoadedDataset all;
  all.edit_index().sources = run.data->stream.samples->sources();
  std::string text = sources_table({{"train", &all}});
  const std::string cleaned = cleaning_line(run.cleaning(), run.recipe.data.cleaning);
  return cleaned.empty() ? text : text + fact("Cleaning", cleaned);
}

std::string profile_report(const ActiveRun& run) {
  const StepProfile& profile = run.profile();
  if (profile.steps < 2) return "";
  if (!run.planned().model().device().is_cpu()) {
    return "\n" + fact("No profile", "--profile measures the CPU's work; a GPU computes while the CPU goes on");
  }
  return "\n" + profile_table(profile.times, profile.steps - 1, profile.seconds, run.peak_flops()) + "\n";
}

std::string end_report(const ActiveRun& run) {
  const Progress& progress = run.trainer().progress();
  switch (*run.end()) {
    case LoopEnd::kStopped:
      return sentence(
          "Stopped after step " + with_commas(progress.step) +
          (progress.step > 0 ? "; the checkpoint is written, continue with --resume" : "; continue with --resume"));
    case LoopEnd::kEarlyStopping:
      return sentence("Stopped early: no better validation " + run.recipe().training.best_by + " in " +
                      std::to_string(progress.evaluations_without_gain) + " evaluations");
    case LoopEnd::kOutOfData:
      return sentence("The training data ended after step " + with_commas(progress.step) + " of " +
                      with_commas(run.trainer().total_steps()));
    case LoopEnd::kDone:
      break;
  }
  return "";
}

// Puts the weights with the lowest validation loss into the model. Returns a line for the person, empty where they are
// there already.
std::string take_best_weights(ActiveRun& run) {
  const Progress& progress = run.trainer().progress();
  if (!run.recipe().training.keep_best || progress.best_step == 0 || progress.best_step == progress.step) return "";
  const SharedDirectory best(run.trainer().replicas(), run.directory().writes()
                                                           ? run.directory().checkpoints().verified(progress.best_step)
                                                           : "");
  read_trained_weights(best.path(), run.planned().adapted);
  const std::string& by = run.recipe().training.best_by;
  return sentence("The best weights are those of step " + with_commas(progress.best_step) + ", with a validation " +
                  by + " of " +
                  fixed(by == "loss" || progress.best_loss > 0 ? progress.best_loss : -progress.best_loss, 4));
}

// A text as one word of a shell's command line (bash, zsh, fish's strings apart); empty where it is long.
std::string shell_word(const std::string& text) {
  constexpr size_t kMost = 90;
  if (text.empty() || text.size() > kMost) return "";
  std::string word = "$'";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return "";
    word += c == '\n' ? "\\n" : c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  return word + "'";
}

// The command that a person tries the result with, the last line of a run. Empty where no program answers with it.
std::string try_line(const ActiveRun& run) {
  const Recipe& recipe = run.recipe();
  const PreparedRun& prepared = run.planned().prepared;
  if (!run.directory().writes() || find_objective(recipe.training.objective).rewards) return "";
  std::string model = run.directory().path().string();
  if (find_method(recipe.adapter.method).trains_network) {
    if (std::ranges::count(recipe.exports, "huggingface") == 0) return "";
    model += "/" + export_format("huggingface").default_name;
  }
  const auto command = [&](const char* program, const std::vector<std::string>& words) {
    std::vector<std::string> all = {prepared.options.programs + program, model};
    all.insert(all.end(), words.begin(), words.end());
    return command_to_copy("Try it:", all);
  };
  if (recipe.model.head != Head::kNone) return command("lora-classify", {"'A text'"});
  if (prepared.chat) return command("lora-generate", {"--chat", "--interactive"});
  const std::string prompt = run.questions().empty() ? "" : shell_word(strip(run.questions().front().text));
  if (prompt.empty()) return command("lora-generate", {"--interactive"});
  return command("lora-generate", {"--prompt", prompt});
}

std::string write_exports(const ActiveRun& run) {
  if (!run.directory().writes()) return "";
  const Recipe& recipe = run.recipe();
  std::vector<std::vector<std::string>> written;
  for (const std::string& name : recipe.exports) {
    const auto output = run.directory().path() / export_format(name).default_name;
    const BaseSource base{recipe.model, recipe.training.seed};
    written.push_back({"wrote", output.string(),
                       write_export(name, run.planned().export_source(), base, MergeInto::kOriginal, output, console(),
                                    work_of(run.name(), ""))});
  }
  const int64_t step = run.trainer().progress().step;
  written.push_back(
      {"wrote", run.directory().checkpoints().directory(step).string(), "continue from here with --resume"});
  return named_rows(written);
}

}  // namespace

std::string finish(ActiveRun& run) {
  run.planned().activate();
  std::string text = profile_report(run) + end_report(run);
  if (run.end() == LoopEnd::kStopped) {
    run.write_page("stopped", nullptr, nullptr);
    return text;
  }
  const PreparedRun& prepared = run.planned().prepared;
  if (const int64_t skipped = run.trainer().progress().skipped_steps; skipped > 0) {
    text += sentence(with_commas(skipped) + " of " + with_commas(run.trainer().progress().step) +
                     " steps were skipped: their loss or gradient was not finite");
  }
  if (prepared.streams()) text += stream_report(prepared) + "\n";
  const std::string best = take_best_weights(run);
  text += best;
  std::optional<Answers> after;
  std::optional<Evaluation> classified;
  if (!run.questions().empty()) {
    after = run.answer(run.trainer().progress().step, run.epoch());
    const auto& before = run.answers_before();
    text += "\n" + answers_report(run.questions(), before ? &*before : nullptr, *after, run.recipe().evaluation.show) +
            "\n";
  }
  if (run.trainer().has_validation() && !prepared.labels.empty()) {
    // There is no evaluation of these weights where they are the best ones, or a finished run was resumed.
    const bool known = best.empty() && run.evaluation();
    classified = known ? *run.evaluation() : run.evaluate();
    text += "\n" + confusion_report(classified->confusion, prepared.labels.names()) + "\n";
  }
  text += write_exports(run);
  run.write_page(run.end() == LoopEnd::kDone ? "done" : "ended early", after ? &*after : nullptr,
                 classified ? &*classified : nullptr);
  return text + try_line(run);
}

}  // namespace lora
