#include "lora/serving/scheduler.h"

#include <ATen/core/grad_mode.h>

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>

#include "lora/inference/answer_text.h"
#include "lora/inference/continuous_batch.h"
#include "models/base/numbers.h"

namespace lora {

// One answer on its way: tokens from the batch, pieces to the client.
class AnswerWriting {
 public:
  AnswerWriting(AnswerJob job, const Tokenizer& tokenizer)
      : job_(std::move(job)), text_(tokenizer, job_.prompt, job_.stop) {}

  bool add(int64_t id, std::span<const float> logits) {
    ++written_;
    if (job_.top_logprobs) {
      scored_.push_back(
          {id, log_probability(logits, id),
           *job_.top_logprobs > 0 ? likeliest(logits, *job_.top_logprobs) : std::vector<std::pair<int64_t, double>>{}});
    }
    const std::string shown = text_.add(id);
    if (!shown.empty()) give(shown, {});
    return !text_.is_stopped();
  }

  void end(AnswerEnd how, int64_t known) {
    cached_ = known;
    give(text_.rest(), how == AnswerEnd::kLength ? FinishReason::kLength : FinishReason::kStop);
  }

  void fail(const std::string& message) {
    AnswerPiece piece = counted();
    piece.error = message;
    job_.on_piece(std::move(piece));
  }

 private:
  AnswerPiece counted() const {
    AnswerPiece piece;
    piece.prompt_tokens = static_cast<int64_t>(job_.prompt.size());
    piece.cached_tokens = cached_;
    piece.answer_tokens = written_;
    return piece;
  }

  void give(std::string text, std::optional<FinishReason> finish) {
    AnswerPiece piece = counted();
    piece.text = std::move(text);
    piece.tokens = std::move(scored_);
    piece.finish = finish;
    scored_.clear();
    job_.on_piece(std::move(piece));
  }

  AnswerJob job_;
  AnswerText text_;
  std::vector<ScoredToken> scored_;
  int64_t written_ = 0, cached_ = 0;
};

struct Scheduler::State {
  State(BatchDecoder& decoder, const Tokenizer& given_tokenizer, SchedulerLimits given)
      : tokenizer(given_tokenizer),
        limits(given),
        cache(decoder, given.cache_bytes),
        batch(decoder, &cache, {as_size(given.at_once), given.prompt_piece}) {}

  void run();
  bool wait_for_work();
  void take_new();
  void pass();

  const Tokenizer& tokenizer;
  const SchedulerLimits limits;

  // Of the scheduler's thread.
  PrefixCache cache;
  ContinuousBatch batch;
  std::vector<std::weak_ptr<AnswerWriting>> writings;

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<AnswerJob> fresh;
  std::deque<std::packaged_task<void()>> changes;
  SchedulerCounts counts;
  bool ends = false;
  std::thread thread;
};

Scheduler::Scheduler(BatchDecoder& decoder, const Tokenizer& tokenizer, SchedulerLimits limits)
    : state_(std::make_unique<State>(decoder, tokenizer, limits)) {
  state_->thread = std::thread([this] { state_->run(); });
}

Scheduler::~Scheduler() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ends = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

bool Scheduler::submit(std::vector<AnswerJob> jobs) {
  {
    const std::lock_guard lock(state_->mutex);
    const auto count = static_cast<int64_t>(jobs.size());
    // An idle server takes any request.
    if (state_->ends || (state_->counts.waiting > 0 && state_->counts.waiting + count > state_->limits.waiting)) {
      state_->counts.refused += count;
      return false;
    }
    state_->counts.waiting += count;
    for (AnswerJob& job : jobs) state_->fresh.push_back(std::move(job));
  }
  state_->changed.notify_all();
  return true;
}

void Scheduler::between_passes(const std::function<void()>& change) {
  std::packaged_task<void()> task(change);
  std::future<void> done = task.get_future();
  {
    const std::lock_guard lock(state_->mutex);
    state_->changes.push_back(std::move(task));
  }
  state_->changed.notify_all();
  done.get();
}

void Scheduler::forget(const std::shared_ptr<const ModelSnapshot>& model) { state_->cache.forget(model); }

SchedulerCounts Scheduler::counts() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counts;
}

void Scheduler::State::run() {
  while (wait_for_work()) {
    take_new();
    pass();
    const std::lock_guard lock(mutex);
    counts.running = static_cast<int64_t>(batch.running());
    counts.waiting = static_cast<int64_t>(batch.waiting() + fresh.size());
    counts.passes = batch.passes();
  }
  for (const auto& one : writings) {
    if (const auto writing = one.lock()) writing->fail("the server ends");
  }
  batch.clear();
}

// False at the end. Does what has to be done between passes.
bool Scheduler::State::wait_for_work() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return ends || !changes.empty() || !fresh.empty() || !batch.is_empty(); });
  while (!changes.empty()) {
    std::packaged_task<void()> change = std::move(changes.front());
    changes.pop_front();
    lock.unlock();
    change();
    lock.lock();
  }
  return !ends;
}

void Scheduler::State::take_new() {
  std::deque<AnswerJob> jobs;
  {
    const std::lock_guard lock(mutex);
    jobs.swap(fresh);
  }
  std::erase_if(writings, [](const std::weak_ptr<AnswerWriting>& one) { return one.expired(); });
  for (AnswerJob& job : jobs) {
    TokenRequest request{.model = job.model,
                         .prompt = job.prompt,
                         .sampling = job.sampling,
                         .max_new_tokens = job.max_tokens,
                         .end_ids = job.end_ids,
                         .on_mean = job.on_mean,
                         .is_unwanted = job.gone};
    const auto writing = std::make_shared<AnswerWriting>(std::move(job), tokenizer);
    request.on_token = [writing](int64_t id, std::span<const float> logits) { return writing->add(id, logits); };
    request.on_end = [this, writing, prompt = static_cast<int64_t>(request.prompt.size())](AnswerEnd how,
                                                                                           int64_t known) {
      writing->end(how, known);
      const std::lock_guard lock(mutex);
      counts.prompt_tokens += prompt;
      counts.cached_tokens += known;
    };
    writings.push_back(writing);
    batch.add(std::move(request));
  }
}

void Scheduler::State::pass() {
  const at::NoGradGuard no_gradients;
  try {
    batch.pass();
  } catch (const std::exception& error) {
    // What a pass refuses, it refuses before it changes anything; which answer is at fault is not known.
    for (const auto& one : writings) {
      if (const auto writing = one.lock()) writing->fail(error.what());
    }
    batch.clear();
  }
}

}  // namespace lora
