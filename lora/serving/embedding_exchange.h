#pragma once
// One request for embeddings and its reply, which comes when all of its texts are read.

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lora/serving/embedding_request.h"
#include "lora/serving/http_server.h"
#include "lora/serving/scheduler.h"

namespace lora {

class EmbeddingExchange {
 public:
  // `model`: its name.
  EmbeddingExchange(const EmbeddingRequest& request, std::string model, std::shared_ptr<HttpReply> reply);

  // Of the text at that index, on the scheduler's thread alone: the mean of its hidden states (H), and the end.
  void take_mean(size_t index, std::span<const double> mean);
  void take(const AnswerPiece& piece);
  bool is_over() const { return failed_ || reply_->gone(); }

 private:
  const size_t dimensions_;  // 0: all
  const bool is_base64_;
  const std::string model_;
  const std::shared_ptr<HttpReply> reply_;
  std::vector<std::vector<float>> embeddings_;
  size_t ended_ = 0;
  int64_t tokens_ = 0;
  std::atomic<bool> failed_{false};
};

// The first `dimensions` (0: all) of a mean, divided by their length.
std::vector<float> embedding_of(std::span<const double> mean, size_t dimensions);

}  // namespace lora
