#include "lora/app/training/training_run.h"

#include <unistd.h>

#include <algorithm>

#include "lora/adapters/initialise.h"
#include "lora/adapters/inject.h"
#include "lora/adapters/registry.h"
#include "lora/app/data/cleaning_report.h"
#include "lora/app/data/data_report.h"
#include "lora/app/data/mixing_report.h"
#include "lora/app/data/recipe_data.h"
#include "lora/app/source/merging.h"
#include "lora/app/training/comparison.h"
#include "lora/app/training/confusion_report.h"
#include "lora/app/training/data_record.h"
#include "lora/app/training/machine.h"
#include "lora/app/training/signals.h"
#include "lora/checkpoints/training_state.h"
#include "lora/data/render.h"
#include "lora/export/export.h"
#include "lora/terminal/text.h"
#include "models/base/atomic_file.h"

namespace lora {
namespace {

constexpr const char* kDataRecord = "data.json";

// The sources with the formats that were found in them; of a stream those that it has come to.
std::vector<DataSource> resolved(std::vector<DataSource> sources, const Dataset& dataset) {
  sources.resize(dataset.sources().size());
  for (size_t i = 0; i < sources.size(); ++i) sources[i].format = dataset.sources()[i].format;
  return sources;
}

// Files with chat templates, which decide what rows become.
std::vector<std::string> template_files(const DataConfig& data) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& name) {
    if (name.ends_with(".jinja")) files.push_back(name);
  };
  add(data.chat_template);
  for (const auto* list : {&data.train, &data.validation}) {
    for (const DataSource& source : *list) add(source.chat_template);
  }
  return files;
}

}  // namespace

TrainingRun::TrainingRun(NamedRecipe recipe, const RunOptions& options, const Tokenizer& tokenizer)
    : name_(std::move(recipe.name)), recipe_(std::move(recipe.recipe)), options_(options), tokenizer_(tokenizer) {
  if (!options.dry_run) {
    directory_.emplace(recipe_.output_dir, options.resume);
    directory_->expect_same_run(recipe_);
  }
  CacheOptions cache{.directory = cache_directory(recipe_.data.cache_dir), .keep = !options.dry_run};
  labels_ = choose_labels(recipe_, cache);
  cache.beside = template_files(recipe_.data);
  data_ = load_recipe_data(recipe_, tokenizer, labels_, cache);
  // A stream's samples are compared where it goes on.
  if (directory_ && directory_->resume_from() && !streams()) {
    expect_same_data(directory_->resume_from()->directory / kDataRecord, data_.train, nullptr, data_.validation);
  }
}

std::vector<std::string> TrainingRun::warnings() const {
  std::vector<std::string> all = directory_ ? directory_->warnings() : std::vector<std::string>{};
  for (std::string& warning : cleaning_warnings(cleaning(), recipe_.data.cleaning)) all.push_back(std::move(warning));
  return all;
}

bool TrainingRun::starts_fresh() const { return directory_ && !directory_->resume_from(); }

std::string TrainingRun::long_work() const {
  if (!starts_fresh() || !starts_from_base(recipe_.adapter)) return "";
  const std::string hint = recipe_.adapter.init == "pissa" ? "; pissa_niter_4 is many times faster" : "";
  return "Start       decomposing the weights that are adapted (" + recipe_.adapter.init + hint + ")";
}

void TrainingRun::adapt(AdapterSet& set) {
  set_ = &set;
  const uint64_t seed = recipe_.training.seed;
  const bool fresh = starts_fresh();
  // Alone it needs no way back to the bare base, which full fine-tuning would have to hold twice for it.
  adapted_ =
      name_.empty() ? inject(set.model(), recipe_.adapter, seed, fresh) : set.add(name_, recipe_.adapter, seed, fresh);
  const Dataset* held_out = recipe_.data.validation.empty() ? nullptr : &data_.validation;
  trainer_ = streams() ? std::make_unique<Trainer>(*adapted_.model, recipe_.training, *data_.stream.samples, held_out,
                                                   recipe_.data.shuffle)
                       : std::make_unique<Trainer>(*adapted_.model, recipe_.training, data_.train, held_out,
                                                   recipe_.data.shuffle, data_.mixture);
  trainer_->set_hooks(training_hooks(adapted_, trainer_->total_steps()));
  for (const std::string& name : recipe_.exports) export_formats().at(name).check(export_source());
}

void TrainingRun::enter() {
  if (name_.empty()) return;
  set_->activate(name_);
  trainer_->set_plan(plan_);  // of the model's, which another run may have set
}

DataNeed TrainingRun::data_need() const {
  DataNeed need = lora::data_need(train(), data_.validation);
  if (streams()) {  // what is still to come
    need.longest = recipe_.training.max_length;
    need.distinct = adapted_.model->config().vocab_size;
  }
  return need;
}

int64_t TrainingRun::held_bytes() const {
  int64_t numbers = 0;
  for (const ParameterGroup& group : trainer_->groups()) {
    for (const auto& [path, parameter] : group.parameters) numbers += parameter.numel();
  }
  return 4 * 4 * numbers + trainer_->method_bytes();  // weights, gradients and two moments, in float32
}

void TrainingRun::plan(const DataNeed& data, int64_t beside, int64_t machine_bytes) {
  enter();
  need_ = data;
  plan_ = plan_memory(*adapted_.model, trainer_->groups(), recipe_.training, data, machine_bytes,
                      beside + trainer_->method_bytes());
  trainer_->set_plan(plan_);
}

std::string TrainingRun::report() {
  enter();
  std::string text = "Training    ";
  if (streams()) text += "streamed, " + with_commas(recipe_.data.shuffle_buffer) + " samples at a time; first ";
  text += dataset_line(train()) + "\n";
  if (trainer_->has_validation()) text += "Validation  " + dataset_line(data_.validation) + "\n";
  NamedDatasets sets = {{"train", &train()}};
  if (trainer_->has_validation()) sets.emplace_back("validation", &data_.validation);
  text += sources_notes(sets);
  if (recipe_.training.packing) text += "Packing     " + packing_line() + "\n";
  std::vector<DataSource> sources = resolved(recipe_.data.train, train());
  const std::vector<DataSource> held_out = resolved(recipe_.data.validation, data_.validation);
  sources.insert(sources.end(), held_out.begin(), held_out.end());
  if (const std::string line = templates_line(recipe_.data, sources, tokenizer_); !line.empty()) {
    text += "Template    " + line + "\n";
  }
  const std::string cleaned = cleaning_line(cleaning(), recipe_.data.cleaning);
  if (!cleaned.empty()) text += "Cleaning    " + cleaned + " (lora-data report shows them)\n";
  if (!labels_.empty()) text += "Labels      " + labels_line(train(), labels_.names()) + "\n";
  text += "Memory      " + memory_line(plan_) + "\n";
  text += "Passes      " + passes_line(plan_, recipe_.training) + "\n";
  text += "Layers      " + layers_line(*adapted_.model) + "\n";
  text += "Adapter     " + recipe_.adapter.method;
  if (starts_from_base(recipe_.adapter)) text += ", from the base's weights (" + recipe_.adapter.init + ")";
  text += "\n\n" + sources_table(sets);
  if (!data_.mixture.plain()) text += "\n" + mixing_table(data_.mixture.shares(0), recipe_.data.mixing);
  text += "\n" + adaptation_table(adapted_) + "\n";
  text += comparison_table(adapted_, plan_, baselines(adapted_, recipe_.training, need_, plan_)) + "\n";
  if (trainer_->groups().size() > 1) text += groups_table(trainer_->groups()) + "\n";
  return text + std::to_string(trainer_->total_steps()) + " steps of " + std::to_string(recipe_.training.batch_size) +
         " rows, " + std::to_string(trainer_->steps_per_epoch()) + " steps " +
         (streams() ? "a window of the stream\n" : "an epoch\n");
}

std::string TrainingRun::packing_line() const {
  const int64_t rows = trainer_->epoch_rows().size(), room = rows * recipe_.training.max_length;
  int64_t tokens = 0;
  for (const int64_t sample : trainer_->epoch_rows().rows(0, rows))
    tokens += train().index().lengths[static_cast<size_t>(sample)];
  return with_commas(rows) + " rows of " + with_commas(recipe_.training.max_length) + " tokens, " +
         fixed(100.0 * static_cast<double>(tokens) / static_cast<double>(room), 1) + " % full";
}

// What became of all rows that were read, which the first window does not tell.
std::string TrainingRun::stream_report() const {
  LoadedDataset all;
  all.edit_index().sources = data_.stream.samples->sources();
  std::string text = sources_table({{"train", &all}});
  const std::string cleaned = cleaning_line(cleaning(), recipe_.data.cleaning);
  return cleaned.empty() ? text : text + "Cleaning    " + cleaned + "\n";
}

std::string TrainingRun::preview() const {
  const bool colour = isatty(STDOUT_FILENO) != 0;
  const EpochPlan& rows = trainer_->epoch_rows();
  const int64_t shown = std::min<int64_t>(recipe_.training.batch_size, 4);
  std::string text = "First rows (" + std::string(colour ? "dim" : "in ⟦ ⟧") + ": read, not trained on)";
  for (int64_t i = 0; i < std::min(shown, rows.size()); ++i) {
    text += "\n\n  row " + std::to_string(i + 1);
    for (const int64_t sample : rows[i]) {
      const SampleView one = train()[sample];
      text += "\n" + render_sample(one, tokenizer_, colour);
      if (one.label != kNoLabel) text += "  → " + labels_.names()[static_cast<size_t>(one.label)];
    }
  }
  return text;
}

Answers TrainingRun::answer() const {
  return answer_questions(
      *adapted_.model, tokenizer_, questions_,
      end_ids(*adapted_.model, tokenizer_, recipe_.data, resolved(recipe_.data.validation, data_.validation)),
      recipe_.evaluation.max_new_tokens);
}

void TrainingRun::write_answers(const Answers& answers, int64_t step, double epoch) {
  directory_->write_exact_match(step, epoch, trainer_->evaluate().loss, answers.exact,
                                static_cast<int64_t>(questions_.size()));
}

std::string TrainingRun::begin() {
  enter();
  if (recipe_.evaluation.exact_match > 0) {
    questions_ = load_questions(recipe_.data, recipe_.data.validation, tokenizer_, recipe_.evaluation.exact_match);
  }
  std::string text;
  if (const auto& checkpoint = directory_->resume_from()) {
    read_training_state(checkpoint->directory, adapted_, *trainer_);
    if (streams()) {
      expect_same_data(checkpoint->directory / kDataRecord, train(), data_.stream.samples.get(), data_.validation);
    }
    saved_step_ = trainer_->progress().step;
    text = "Resuming after step " + std::to_string(saved_step_);
  } else if (!questions_.empty()) {
    before_ = answer();
  }
  directory_->begin(recipe_);
  if (before_) write_answers(*before_, 0, 0.0);
  peak_flops_ = measured_peak(adapted_.model->dtype());
  return text;
}

void TrainingRun::turn(ProgressDisplay& display) {
  enter();
  LoopEvents events;
  events.on_step = [&](const StepMetrics& metrics) {
    epoch_ = metrics.epoch;
    directory_->write_step(metrics, peak_flops_);
    display.step(metrics, name_);
    // The first step also touches every weight for the first time.
    if (options_.profile && profiled_steps_++ == 0) {
      trainer_->set_profile(&times_);
    } else {
      profiled_seconds_ += metrics.seconds;
    }
  };
  events.on_evaluation = [&](const Evaluation& evaluation, bool best) {
    evaluated_ = evaluation;
    directory_->write_evaluation(trainer_->progress(), epoch_, evaluation);
    display.evaluation(evaluation, best, name_);
  };
  events.save = [&] { save(); };
  events.stop_requested = [] { return stop_signal() != 0; };
  end_ = loop_turn(*trainer_, recipe_.training, events);
}

void TrainingRun::save() {
  enter();
  const Progress& progress = trainer_->progress();
  if (progress.step == saved_step_) return;
  directory_->sync_metrics();
  directory_->checkpoints().write(progress.step, [&](const std::filesystem::path& directory) {
    write_training_state(directory, adapted_, *trainer_, recipe_.model.path, to_yaml(recipe_));
    write_file_atomically(directory / kDataRecord, data_record(train(), data_.stream.samples.get(), data_.validation));
  });
  directory_->checkpoints().prune(recipe_.training.checkpoint_keep, {progress.best_step});
  saved_step_ = progress.step;
}

void TrainingRun::stop() {
  save();
  end_ = LoopEnd::kStopped;
}

std::string TrainingRun::profile() const {
  if (profiled_steps_ < 2) return "";
  return "\n" + profile_table(times_, profiled_steps_ - 1, profiled_seconds_, peak_flops_) + "\n";
}

ExportSource TrainingRun::export_source() const {
  ExportSource source{adapted_, recipe_.model.path, tokenizer_.files(), &tokenizer_};
  // What is in the list itself is not written twice.
  source.options.huggingface_beside = std::ranges::count(recipe_.exports, "huggingface") == 0;
  return source;
}

std::string TrainingRun::finish() {
  enter();
  std::string text = profile();
  const Progress progress = trainer_->progress();
  if (end_ == LoopEnd::kStopped) {
    return text + "Stopped after step " + std::to_string(progress.step) +
           (progress.step > 0 ? "; the checkpoint is written, go on with --resume" : "; go on with --resume");
  }
  if (end_ == LoopEnd::kEarlyStopping) {
    text += "Stopped early: no better validation loss in " + std::to_string(progress.evaluations_without_gain) +
            " evaluations\n";
  }
  if (end_ == LoopEnd::kOutOfData) {
    text += "The training data ended after step " + std::to_string(progress.step) + " of " +
            std::to_string(trainer_->total_steps()) + "\n";
  }
  if (streams()) text += stream_report() + "\n";
  if (recipe_.training.keep_best && progress.best_step > 0 && progress.best_step != progress.step) {
    read_trained_weights(directory_->checkpoints().verified(progress.best_step), adapted_);
    text += "The best weights are those of step " + std::to_string(progress.best_step) +
            ", with a validation loss of " + fixed(progress.best_loss, 4) + "\n";
    evaluated_.reset();
  }
  if (!questions_.empty()) {
    const Answers after = answer();
    write_answers(after, progress.step, epoch_);
    text += "\n" + answers_report(questions_, before_ ? &*before_ : nullptr, after, recipe_.evaluation.show) + "\n";
  }
  if (trainer_->has_validation() && !labels_.empty()) {
    if (!evaluated_) evaluated_ = trainer_->evaluate();  // none where a finished run was resumed
    text += "\n" + confusion_report(evaluated_->confusion, labels_.names()) + "\n";
  }
  std::vector<std::vector<std::string>> written;
  for (const std::string& name : recipe_.exports) {
    const auto output = directory_->path() / export_formats().at(name).default_name;
    written.push_back(
        {"wrote", output.string(),
         write_export(name, export_source(), {recipe_.model, recipe_.training.seed}, MergeInto::kOriginal, output)});
  }
  written.push_back(
      {"wrote", directory_->checkpoints().directory(progress.step).string(), "go on from here with --resume"});
  return text + table(written, {false, false, false});
}

}  // namespace lora
