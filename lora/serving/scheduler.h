#pragma once
// Answers many requests at once on one model: continuous batching. A pass has the next token of every answer that is
// being written, whatever its adapter; between two such passes one prompt is read on by a piece. A request joins at the
// next token, and leaves as soon as it is done or its client is gone. One thread of its own drives the model.
// Orca (Yu et al. 2022), section 3; pieces of prompts as in Sarathi-Serve (Agrawal et al. 2024).

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lora/data/tokenizer.h"
#include "lora/inference/sampling.h"
#include "models/network/batch_decoder.h"

namespace lora {

struct ScoredToken {
  int64_t id;
  double log_probability;  // before temperature and cuts
  std::vector<std::pair<int64_t, double>> likeliest;
};

enum class FinishReason { kStop, kLength };

// What one pass, or several, added to an answer.
struct AnswerPiece {
  std::string text;                    // whole characters; nothing that may become a stop text
  std::vector<ScoredToken> tokens;     // where log-probabilities are asked for
  std::optional<FinishReason> finish;  // the last piece has it
  int64_t prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;  // so far
  std::string error;  // the last piece where the answer cannot go on; finish is then empty
};

struct AnswerJob {
  std::shared_ptr<const ModelSnapshot> model;
  std::vector<int64_t> prompt;  // not empty
  SamplingConfig sampling;
  int64_t max_tokens;
  std::vector<int64_t> end_ids;
  std::vector<std::string> stop;  // texts that end the answer, which does not have them
  std::optional<int64_t> top_logprobs;
  // Where set, nothing is written: see TokenRequest. The last piece, without text, follows.
  std::function<void(std::span<const double> mean)> on_mean = {};
  // Called on the scheduler's thread, which waits for it.
  std::function<void(AnswerPiece piece)> on_piece;
  std::function<bool()> gone;
};

struct SchedulerLimits {
  int64_t at_once = 32;               // answers that are written side by side
  int64_t waiting = 256;              // requests that wait beside those
  int64_t prompt_piece = 256;         // tokens
  int64_t cache_bytes = 256LL << 20;  // keys and values of texts that are kept
};

// Counts since the start, and states.
struct SchedulerCounts {
  int64_t running = 0, waiting = 0;
  int64_t passes = 0, prompt_tokens = 0, cached_tokens = 0, refused = 0;
};

class Scheduler {
 public:
  // Borrows all but the limits; nobody else may use the decoder.
  Scheduler(BatchDecoder& decoder, const Tokenizer& tokenizer, SchedulerLimits limits);
  // Ends the thread; answers that are being written end with an error.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // From any thread: all of the jobs or, where too many wait, none and false.
  bool submit(std::vector<AnswerJob> jobs);
  // Runs on the scheduler's thread between two passes; waits for it, and throws what it throws. For what changes the
  // model.
  void between_passes(const std::function<void()>& change);
  // Within between_passes(): drops what is kept of texts that this model read.
  void forget(const std::shared_ptr<const ModelSnapshot>& model);
  SchedulerCounts counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lora
