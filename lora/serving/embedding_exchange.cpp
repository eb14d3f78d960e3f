#include "lora/serving/embedding_exchange.h"

#include <openssl/evp.h>

#include <bit>
#include <cmath>

#include "lora/serving/api_error.h"

namespace lora {
namespace {

static_assert(std::endian::native == std::endian::little);

std::string base64(const std::vector<float>& numbers) {
  const size_t bytes = numbers.size() * sizeof(float);
  std::string text((bytes + 2) / 3 * 4 + 1, '\0');  // with the NUL that is written behind it
  const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                      reinterpret_cast<const unsigned char*>(numbers.data()), static_cast<int>(bytes));
  text.resize(static_cast<size_t>(written));
  return text;
}

}  // namespace

std::vector<float> embedding_of(std::span<const double> mean, size_t dimensions) {
  if (dimensions > 0) mean = mean.first(std::min(dimensions, mean.size()));
  double squares = 0;
  for (const double x : mean) squares += x * x;
  const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
  std::vector<float> embedding;
  for (const double x : mean) embedding.push_back(static_cast<float>(x * scale));
  return embedding;
}

EmbeddingExchange::EmbeddingExchange(const EmbeddingRequest& request, std::string model,
                                     std::shared_ptr<HttpReply> reply)
    : dimensions_(static_cast<size_t>(request.dimensions.value_or(0))),
      is_base64_(request.is_base64),
      model_(std::move(model)),
      reply_(std::move(reply)),
      embeddings_(request.inputs.size()) {}

void EmbeddingExchange::take_mean(size_t index, std::span<const double> mean) {
  embeddings_[index] = embedding_of(mean, dimensions_);
}

void EmbeddingExchange::take(const AnswerPiece& piece) {
  if (is_over()) return;
  if (!piece.error.empty()) {
    failed_ = true;
    return reply_->send(error_response(ApiError(500, piece.error)));
  }
  tokens_ += piece.prompt_tokens;
  if (++ended_ < embeddings_.size()) return;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (size_t i = 0; i < embeddings_.size(); ++i) {
    list.push_back({{"object", "embedding"}, {"index", i}});
    if (is_base64_) {
      list.back()["embedding"] = base64(embeddings_[i]);
    } else {
      list.back()["embedding"] = embeddings_[i];
    }
  }
  const nlohmann::ordered_json body = {{"object", "list"},
                                       {"data", list},
                                       {"model", model_},
                                       {"usage", {{"prompt_tokens", tokens_}, {"total_tokens", tokens_}}}};
  reply_->send({.body = body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)});
}

}  // namespace lora
