#pragma once
// Answers that are written side by side, one token of each a pass; they come and go at any time. A pass has the next
// token of every answer, whatever its adapter. Between two such passes prompts are read by a piece, so that a long prompt
// holds nobody up. Orca (Yu et al. 2022, section 3); pieces of prompts as in Sarathi-Serve (Agrawal et al. 2024).
//
// A device has so many pages for keys and values. Where they run out, texts of the cache go first; then the answer that came
// last is paused: its pages go to the others, and it is read again when there is room for it (vLLM's preemption by
// recomputation: Kwon et al. 2023, section 4.5). A waiting request is taken when there is room for its prompt.
//
// An answer does not depend on the others beside it, but for the rounding of products with another number of rows.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "lora/inference/prefix_cache.h"
#include "lora/inference/sampling.h"
#include "models/network/batch_decoder.h"

namespace lora {

enum class AnswerEnd { kEndToken, kLength, kStopped, kWhole };  // kWhole: JSON, or a prompt that is only read

struct TokenRequest {
  std::shared_ptr<const ModelSnapshot> model;
  std::vector<int64_t> prompt;  // at least one token, ids of the model
  SamplingConfig sampling = {};
  int64_t max_new_tokens = 64;  // at least one
  std::vector<int64_t> end_ids = {};
  // Called for each new token but one of end_ids, with its row of logits (V), before penalties. False: the answer ends.
  std::function<bool(int64_t id, std::span<const float> logits)> on_token = {};
  // Where set, the prompt is read whole and nothing is written: called once with the mean of its tokens' hidden states
  // (H), behind the last norm. on_end follows, with kWhole.
  std::function<void(std::span<const double> mean)> on_mean = {};
  // Called once, unless pass() throws. known_tokens: of the prompt, which were not read again.
  std::function<void(AnswerEnd end, int64_t known_tokens)> on_end = {};
  // Asked before each pass. True: nobody wants the answer; on_end is not called.
  std::function<bool()> is_unwanted = {};
};

struct BatchLimits {
  size_t at_once = 32;         // answers; others wait
  int64_t prompt_piece = 256;  // tokens of prompts that are read between two tokens of the answers
};

// Used by one thread. Borrows the decoder and the cache, which may be null.
class ContinuousBatch {
 public:
  ContinuousBatch(BatchDecoder& decoder, PrefixCache* cache, BatchLimits limits = {})
      : decoder_(decoder), cache_(cache), limits_(limits) {}

  void add(TokenRequest request) { waiting_.push_back(std::move(request)); }

  // Computes the next token of all answers, and a piece of prompts. Throws the errors of BatchDecoder::pass; the
  // batch is to be cleared then. A single text with more tokens than the device has pages for is one of these.
  void pass();
  bool is_empty() const { return waiting_.empty() && running_.empty() && paused_.empty(); }
  void clear();

  size_t running() const { return running_.size(); }
  size_t waiting() const { return waiting_.size() + paused_.size(); }
  int64_t passes() const { return passes_; }
  int64_t tokens_read() const { return tokens_read_; }  // of prompts, without the known ones
  int64_t pauses() const { return pauses_; }

 private:
  struct Running {
    TokenRequest request;
    Sampler sampler;
    KvSequence sequence;
    int64_t known;                // tokens of the prompt that the cache had
    std::vector<int64_t> answer;  // the last one is not in the sequence yet
    std::vector<double> hidden;   // for on_mean: the sum so far
    // Tokens that are read before the next one is written: the prompt, and of an answer that was paused what it has.
    int64_t text_length() const { return std::ssize(request.prompt) + std::max<int64_t>(0, std::ssize(answer) - 1); }
    bool reads() const { return sequence.length < text_length(); }
  };
  using Place = std::list<Running>::iterator;

  void drop_unwanted();
  void take_waiting();
  void write();
  void read();
  int64_t read_piece(Place answer, int64_t most);
  bool has_room(int64_t pages);
  bool has_room_for(const Running& one, int64_t tokens);
  int64_t claimed_pages() const;
  int64_t with_pages() const;
  Place last_with_pages(Place first);
  void pause(Place answer);
  void accept(Place answer, std::span<const float> logits);
  void end(Place answer, AnswerEnd how);

  BatchDecoder& decoder_;
  PrefixCache* cache_;
  BatchLimits limits_;
  std::deque<TokenRequest> waiting_;
  std::list<Running> running_, paused_;  // as they came
  int64_t passes_ = 0, tokens_read_ = 0, pauses_ = 0;
};

}  // namespace lora
