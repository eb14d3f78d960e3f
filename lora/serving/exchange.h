#pragma once
// One request to a model and its reply: the pieces of all its answers, gathered or streamed.

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "lora/serving/completion_request.h"
#include "lora/serving/completion_response.h"
#include "lora/serving/http_server.h"
#include "lora/serving/served_models.h"
#include "lora/serving/serving_metrics.h"

namespace lora {

class Exchange {
 public:
  Exchange(const CompletionRequest& request, std::shared_ptr<const ServedModel> model, const Tokenizer& tokenizer,
           ServingMetrics& metrics, std::shared_ptr<HttpReply> reply, size_t answers);

  // Of the answer at that index: on the scheduler's thread alone.
  void take(size_t index, AnswerPiece piece);
  bool is_over() const { return failed_ || reply_->gone(); }

 private:
  void stream(size_t index, const AnswerPiece& piece);
  void gather(size_t index, AnswerPiece piece);
  void complete();
  void fail(const std::string& message);

  const bool streams_, with_scores_, with_usage_;
  const int64_t per_prompt_;
  const std::shared_ptr<const ServedModel> model_;
  const Tokenizer& tokenizer_;
  ServingMetrics& metrics_;
  const std::shared_ptr<HttpReply> reply_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  ResponseHead head_;
  std::vector<Choice> choices_;
  std::vector<Usage> usages_;
  std::vector<size_t> shown_;  // bytes of each answer
  size_t ended_ = 0;
  bool began_ = false;
  std::atomic<bool> failed_{false};
};

}  // namespace lora
