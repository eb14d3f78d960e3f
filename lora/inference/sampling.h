#pragma once
// The next token from a row of logits: penalties and biases, then the form of the answer, temperature, and cuts, in
// transformers' order. The same seed gives the same tokens, whatever else is answered beside them.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lora/data/shuffle.h"
#include "lora/inference/json_answer.h"

namespace lora {

struct SamplingConfig {
  double temperature = 0;  // 0: the likeliest token each time; of equal ones, the first
  int64_t top_k = 0;       // only the k likeliest; 0: all
  double top_p = 1;        // only the smallest set of likeliest tokens with this probability (Holtzman et al. 2020)
  double min_p = 0;        // only tokens at least this times as likely as the likeliest (Nguyen et al. 2024)
  double repetition_penalty = 1;  // divides a positive, multiplies a negative logit of a token of prompt or answer
                                  // (Keskar et al. 2019)
  double frequency_penalty = 0;   // taken from a token's logit for each time that the answer has it (OpenAI's)
  double presence_penalty = 0;    // taken from it once, where the answer has it (OpenAI's)
  std::map<int64_t, double> logit_bias = {};  // token -> added to its logit
  uint64_t seed = 0;
  std::shared_ptr<const JsonForm> json = {};  // the answer is a JSON value of this form; null: any text
};

// Draws the tokens of one answer. Cheap to make, and to move.
class Sampler {
 public:
  // `end_ids`: the tokens that end an answer; of JSON they come only where the value is whole.
  Sampler(const SamplingConfig& config, std::span<const int64_t> prompt, std::span<const int64_t> end_ids = {});

  // The next token, which the answer then has. logits (V), finite. The likeliest token is never cut off. Ids of the
  // configuration that are outside of [0, V) mean nothing.
  int64_t next(std::span<const float> logits);
  // Nothing may follow: the answer is a whole JSON value.
  bool is_over() const { return json_ && json_->is_over(); }

 private:
  bool changes_logits() const;
  void penalize(std::span<float> logits) const;
  int64_t draw(std::span<const float> logits);

  SamplingConfig config_;
  SplitMix64 random_;
  std::optional<JsonAnswer> json_;
  std::unordered_map<int64_t, int64_t> counts_;  // token -> how often the answer has it; 0: only the prompt
  std::vector<float> changed_;
  std::vector<std::pair<float, int64_t>> kept_;  // logit, token
};

// log softmax(logits)[id]
double log_probability(std::span<const float> logits, int64_t id);
// The `count` likeliest tokens with their log-probabilities, likeliest first.
std::vector<std::pair<int64_t, double>> likeliest(std::span<const float> logits, int64_t count);

}  // namespace lora
