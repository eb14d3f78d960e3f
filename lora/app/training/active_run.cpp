#include "lora/app/training/active_run.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lora/app/data/prepared_data.h"
#include "lora/app/training/agreement.h"
#include "lora/app/training/base_record.h"
#include "lora/app/training/data_record.h"
#include "lora/app/training/machine.h"
#include "lora/app/training/reference_cache.h"
#include "lora/app/training/signals.h"
#include "lora/checkpoints/training_state.h"
#include "lora/data/chat_template.h"
#include "lora/data/template_files.h"
#include "lora/inference/generation.h"
#include "lora/log/log.h"
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
  reference_report_ = prepare_references(planned_);
  if (const auto& checkpoint = directory().resume_from()) {
    read_training_state(checkpoint->directory, planned_.adapted, trainer());
    if (prepared.streams()) {
      expect_same_data(checkpoint->directory, prepared.train(), prepared.data->stream.samples.get(),
                       prepared.data->validation);
    }
    resumed_step_ = saved_step_ = trainer().progress().step;
    epoch_ = trainer().rows().epochs_done();
  }
  if (!directory().resume_from() && !questions_.empty()) before_ = generate_answers();
  directory().begin(recipe());
  if (directory().resume_from()) prune();  // the run may have been killed before it did
  if (before_) write_answers(*before_, 0, 0.0);
  peak_flops_ = measured_peak(planned_.model().dtype());
}

Answers ActiveRun::answer(int64_t step, double epoch) {
  Answers answers = generate_answers();
  write_answers(answers, step, epoch);
  return answers;
}

Answers ActiveRun::generate_answers() const {
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
  const Answers given =
      answer_questions(planned_.model(), *planned_.prepared.tokenizer, own,
                       end_ids(planned_.model(), *planned_.prepared.tokenizer, recipe().data, sources),
                       recipe().evaluation.max_new_tokens);
  Answers all;
  for (const nlohmann::json& one : gather_values(replicas, {given.exact, given.texts})) {
    all.exact += one[0].get<int64_t>();
    for (const nlohmann::json& text : one[1]) all.texts.push_back(text);
  }
  return all;
}

void ActiveRun::write_answers(const Answers& answers, int64_t step, double epoch) {
  directory().write_exact_match(step, epoch, trainer().evaluate().loss, answers.exact,
                                static_cast<int64_t>(questions_.size()));
}

void ActiveRun::step(ProgressDisplay& display) {
  planned_.activate();
  LoopEvents events;
  events.on_step = [&](const StepMetrics& metrics) {
    epoch_ = metrics.epoch;
    directory().write_step(metrics, peak_flops_);
    display.step(progress_step(metrics, name()));
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
  events.save = [&] { save(); };
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
  trainer().expect_finite_weights();
  expect_same_stream();
  directory().write_checkpoint(progress.step, [&](const std::filesystem::path& checkpoint) {
    const PreparedRun& prepared = planned_.prepared;
    write_training_state(checkpoint, planned_.adapted, trainer(), recipe().model.path, to_yaml(recipe()));
    write_file_atomically(checkpoint / kBaseRecord, prepared.base);
    write_data_record(checkpoint, prepared.train(), prepared.data->stream.samples.get(), prepared.data->validation);
    if (prepared.chat) write_template_files(checkpoint, prepared.chat->files());
  });
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
  const bool launched = runs.front().planned().prepared.options.together;
  ProgressDisplay display(done, total, /*redraws=*/!launched);
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
