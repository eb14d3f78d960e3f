#include "lora/app/training/active_run.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "lora/app/data/prepared_data.h"
#include "lora/app/training/agreement.h"
#include "lora/app/training/base_record.h"
#include "lora/app/training/data_record.h"
#include "lora/app/training/export_time.h"
#include "lora/app/training/machine.h"
#include "lora/app/training/reference_cache.h"
#include "lora/app/training/run_page.h"
#include "lora/app/training/signals.h"
#include "lora/checkpoints/training_state.h"
#include "lora/data/chat_template.h"
#include "lora/data/template_files.h"
#include "lora/inference/generation.h"
#include "lora/log/log.h"
#include "lora/terminal/busy.h"
#include "lora/terminal/text.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

// A checkpoint of each other run that continues.
void save_others(std::vector<ActiveRun>& runs, const ActiveRun& failed) {
  for (ActiveRun& run : runs) {
    if (&run == &failed || run.end()) continue;
    try {
      run.save();
    } catch (const NumericsError& error) {
      log_warning(run.name() + ": no checkpoint is written: " + without_component(error));
    }
  }
}

double elapsed_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The seconds that `work` takes, while a line says that it goes on.
template <typename Work>
double timed(const std::string& title, const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  Busy busy(title);
  work(busy);
  return elapsed_since(begin);
}

// How often something is due in the steps after `done`, every so many of them and after the last.
int64_t times_due(int64_t done, int64_t total, int64_t every) {
  if (done >= total) return 0;
  return every == 0 ? 1 : total / every - done / every + (total % every != 0 ? 1 : 0);
}

// 0 where they cannot be read, which ends no run.
int64_t bytes_of_files(const std::filesystem::path& directory) {
  uintmax_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator file(directory, error), end; !error && file != end; file.increment(error)) {
    std::error_code no_file;
    const uintmax_t size = file->file_size(no_file);
    if (!no_file) bytes += size;
  }
  return error ? 0 : static_cast<int64_t>(bytes);
}

OnPass counted_by(Busy& busy) {
  return [&busy](int64_t done, int64_t total) { busy.at(done, total); };
}

[[noreturn]] void throw_named(const NumericsError& error, const std::string& name) {
  throw NumericsError("adapter '" + name + "': " + without_component(error));
}

}  // namespace

ActiveRun::ActiveRun(PlannedRun planned) : planned_(std::move(planned)) {
  planned_.activate();
  const PreparedRun& prepared = planned_.prepared;
  if (recipe().evaluation.exact_match > 0) {
    if (const auto& held_out = prepared.data->config.validation; is_prepared(held_out.front().path)) {
      throw DataError(held_out.front().path +
                      ": is prepared data, which has no questions to answer; leave out evaluation.exact_match");
    }
    questions_ = load_questions(recipe().data, prepared.data->config.validation, *prepared.tokenizer,
                                recipe().evaluation.exact_match);
  }
  timed(work_of(name(), "reference"),
        [&](Busy& busy) { reference_report_ = prepare_references(planned_, counted_by(busy)); });
  if (const auto& checkpoint = directory().resume_from()) {
    // Of a stream, it reads the rows again that were trained on.
    timed(work_of(name(), "continuing after step " + with_commas(checkpoint->step)),
          [&](Busy&) { read_training_state(checkpoint->directory, planned_.adapted, trainer()); });
    if (const int64_t step = trainer().progress().step; step != checkpoint->step) {
      throw StorageError((checkpoint->directory / "state.json").string() + ": of step " + std::to_string(step) +
                         "; expected step " + std::to_string(checkpoint->step));
    }
    if (prepared.streams()) {
      expect_same_data(checkpoint->directory, prepared.train(), prepared.data->stream.samples.get(),
                       prepared.data->validation);
      if (const RowCursor& rows = trainer().rows(); rows.place().row > rows.epoch_rows().size()) {
        throw StorageError((checkpoint->directory / "state.json").string() + ": row " +
                           std::to_string(rows.place().row) + "; expected at most " +
                           std::to_string(rows.epoch_rows().size()));
      }
    }
    resumed_step_ = saved_step_ = trainer().progress().step;
    epoch_ = trainer().rows().epochs_done();
  }
  if (!directory().resume_from() && !questions_.empty()) {
    answer_seconds_ = timed(work_of(name(), "answers before training"),
                            [&](Busy& busy) { before_ = generate_answers(counted_by(busy)); });
  }
  RunRecord record;  // made before begin(), while the checkpoint that the run continues from is there
  if (directory().writes()) record = record_of_start(planned_, directory().path().lexically_normal().string());
  directory().begin(recipe());
  begin_page(std::move(record));
  if (directory().resume_from()) prune();  // the run may have been killed before it did
  if (before_) write_answers(*before_, 0, 0.0);
  peak_flops_ = measured_peak(planned_.model().device(), planned_.model().dtype());
}

void ActiveRun::begin_page(RunRecord record) {
  LivePage* page = directory().page();
  if (!page) return;
  page->record() = std::move(record);
  if (before_) page->record().samples = report_samples(questions_, &*before_, nullptr);
  if (directory().resume_from()) page->record().samples = page->earlier_samples();
  page->record().labels = planned_.prepared.labels.names();
  page->write();
}

void ActiveRun::write_page(const std::string& state, const Answers* after, const Evaluation* classified) {
  LivePage* page = directory().page();
  if (!page) return;
  RunRecord& record = page->record();
  record.state = state;
  if (after) {
    // A resumed run has the answers from before training from its earlier page.
    const std::vector<ReportSample> earlier = std::move(record.samples);
    record.samples = report_samples(questions_, before_ ? &*before_ : nullptr, after);
    for (size_t i = 0; !before_ && i < std::min(earlier.size(), record.samples.size()); ++i) {
      if (earlier[i].prompt == record.samples[i].prompt) record.samples[i].before = earlier[i].before;
    }
  }
  if (classified) record.confusion = report_confusion(classified->confusion);
  page->write();
}

Answers ActiveRun::answer(int64_t step, double epoch) {
  Answers answers;
  timed(work_of(name(), "answers after training"), [&](Busy& busy) { answers = generate_answers(counted_by(busy)); });
  write_answers(answers, step, epoch);
  return answers;
}

Evaluation ActiveRun::evaluate() const {
  Evaluation evaluation;
  timed(work_of(name(), "validation"), [&](Busy& busy) { evaluation = trainer().evaluate(counted_by(busy)); });
  return evaluation;
}

Answers ActiveRun::generate_answers(const OnPass& on_answer) const {
  constexpr auto kBatch = static_cast<int64_t>(kPromptsAtOnce);
  const std::vector<DataSource> sources =
      sources_as_found(planned_.prepared.data->config.validation, planned_.prepared.data->validation);
  // Whole batches, so that each is computed as one process would.
  Replicas& replicas = trainer().replicas();
  const Block batches = own_block(std::ssize(questions_) == 0 ? 0 : ceil_div(std::ssize(questions_), kBatch), replicas);
  const auto question = [&](int64_t batch) {
    return questions_.begin() + std::min(std::ssize(questions_), batch * kBatch);
  };
  const std::vector<Question> own(question(batches.first), question(batches.end));
  const Answers given = answer_questions(
      planned_.model(), *planned_.prepared.tokenizer, own,
      end_ids(planned_.model(), *planned_.prepared.tokenizer, recipe().data, sources),
      recipe().evaluation.max_new_tokens, [&](int64_t answered) { on_answer(answered, std::ssize(own)); });
  Answers all;
  for (const nlohmann::json& one : gather_values(replicas, {given.exact, given.texts})) {
    all.exact += one[0].get<int64_t>();
    for (const nlohmann::json& text : one[1]) all.texts.push_back(text);
  }
  return all;
}

void ActiveRun::write_answers(const Answers& answers, int64_t step, double epoch) {
  directory().write_exact_match(step, epoch, evaluate().loss, answers.exact, static_cast<int64_t>(questions_.size()));
}

void ActiveRun::expect_work(ProgressDisplay& display) const {
  const TrainingConfig& training = recipe().training;
  const int64_t done = trainer().progress().step, total = trainer().total_steps();
  if (trainer().has_validation())
    display.expect(work_of(name(), "validation"), times_due(done, total, training.eval_every));
  display.expect(work_of(name(), "checkpoint"), times_due(done, total, training.checkpoint_every));
  if (directory().writes() && !recipe().exports.empty()) display.expect(work_of(name(), "exports"), 1);
  if (questions_.empty()) return;
  display.expect(work_of(name(), "answers"), before_ ? 2 : 1);
  if (before_) display.spent(work_of(name(), "answers"), answer_seconds_);
}

void ActiveRun::guess_exports(ProgressDisplay& display, double checkpoint_seconds) const {
  if (!directory().writes() || recipe().exports.empty()) return;
  const int64_t bytes = bytes_of_files(directory().checkpoints().directory(trainer().progress().step));
  if (bytes == 0) return;
  display.guess(work_of(name(), "exports"),
                guessed_export_seconds(recipe(), planned_.export_source(), bytes, checkpoint_seconds));
}

void ActiveRun::step(ProgressDisplay& display) {
  planned_.activate();
  LoopEvents events;
  events.on_pass = [&](int64_t done, int64_t total) { display.pass(done, total); };
  events.on_step = [&](const StepMetrics& metrics) {
    epoch_ = metrics.epoch;
    directory().write_step(metrics, peak_flops_, planned_.model().device());
    display.step(progress_step(metrics, planned_.model().device(), name()));
    if (!planned_.prepared.options.profile) return;
    // The first step also touches every weight for the first time.
    if (profile_->steps++ == 0) {
      trainer().set_profile(&profile_->times);
    } else {
      profile_->seconds += metrics.seconds;
    }
  };
  events.on_evaluation = [&](const Evaluation& evaluation, bool best) {
    evaluation_ = evaluation;
    directory().write_evaluation(trainer().progress(), epoch_, evaluation);
    display.note(evaluation_line(evaluation, best, name()));
  };
  events.evaluate = [&] {
    const auto begin = std::chrono::steady_clock::now();
    Evaluation evaluation = evaluate();
    display.spent(work_of(name(), "validation"), elapsed_since(begin));
    return evaluation;
  };
  events.save = [&] {
    const auto begin = std::chrono::steady_clock::now();
    save();
    const double seconds = elapsed_since(begin);
    display.spent(work_of(name(), "checkpoint"), seconds);
    guess_exports(display, seconds);
  };
  events.stop_requested = [&] {
    stop_signal_ = agree_on_signal(trainer().replicas(), stop_signal());
    return stop_signal_ != 0;
  };
  end_ = loop_turn(trainer(), recipe().training, events);
}

void ActiveRun::save() {
  planned_.activate();
  const Progress& progress = trainer().progress();
  if (progress.step == saved_step_) return;
  Busy busy(work_of(name(), "checkpoint"));
  const OnBytes on_bytes = [&](int64_t done, int64_t total) { busy.at_bytes(done, total); };
  trainer().expect_finite_weights();
  expect_same_stream();
  const auto fill = [&](const std::filesystem::path& checkpoint) {
    const PreparedRun& prepared = planned_.prepared;
    write_training_state(checkpoint, planned_.adapted, trainer(), recipe().model.path, to_yaml(recipe()), on_bytes);
    write_file_atomically(checkpoint / kBaseRecord, prepared.base);
    write_data_record(checkpoint, prepared.train(), prepared.data->stream.samples.get(), prepared.data->validation);
    if (prepared.chat) write_template_files(checkpoint, prepared.chat->files());
    busy.next(work_of(name(), "hashing the checkpoint"));
  };
  directory().write_checkpoint(progress.step, fill, on_bytes);
  prune();
  saved_step_ = progress.step;
}

// Each process reads a stream for itself, so what it has read is compared again and again.
void ActiveRun::expect_same_stream() const {
  const PreparedRun& prepared = planned_.prepared;
  if (!prepared.streams() || trainer().replicas().count() == 1) return;
  expect_agreement(trainer().replicas(),
                   {{"streamed data",
                     data_record(prepared.train(), prepared.data->stream.samples.get(), prepared.data->validation)}});
}

void ActiveRun::prune() { directory().prune(recipe().training.checkpoint_keep, {trainer().progress().best_step}); }

void ActiveRun::stop() {
  save();
  end_ = LoopEnd::kStopped;
}

void train(std::vector<ActiveRun>& runs) {
  int64_t done = 0, total = 0;
  for (const ActiveRun& run : runs) {
    done += run.trainer().progress().step;
    total += run.trainer().total_steps();
  }
  ProgressDisplay display(done, total);
  for (const ActiveRun& run : runs) run.expect_work(display);
  const auto unfinished = [](const ActiveRun& run) { return !run.end(); };
  while (std::ranges::any_of(runs, unfinished)) {
    for (ActiveRun& run : runs) {
      if (run.end()) continue;
      try {
        run.step(display);
      } catch (const NumericsError& error) {
        if (run.name().empty()) throw;
        save_others(runs, run);
        throw_named(error, run.name());
      }
      if (run.end() != LoopEnd::kStopped) continue;
      for (ActiveRun& other : runs) {
        if (!other.end()) other.stop();
      }
      return;
    }
  }
}

}  // namespace lora
