#include "lora/serving/exchange.h"

#include <ctime>
#include <random>

#include "lora/serving/api_error.h"

namespace lora {
namespace {

std::string new_id(bool is_chat) {
  static thread_local std::random_device random;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string id = is_chat ? "chatcmpl-" : "cmpl-";
  for (int i = 0; i < 24; ++i) id += kDigits[random() % 16];
  return id;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

Exchange::Exchange(const CompletionRequest& request, std::shared_ptr<const ServedModel> model,
                   const Tokenizer& tokenizer, ServingMetrics& metrics, std::shared_ptr<HttpReply> reply,
                   size_t answers)
    : streams_(request.stream),
      with_scores_(request.top_logprobs.has_value()),
      with_usage_(request.stream_usage),
      per_prompt_(request.count),
      model_(std::move(model)),
      tokenizer_(tokenizer),
      metrics_(metrics),
      reply_(std::move(reply)),
      head_{request.is_chat, new_id(request.is_chat), std::time(nullptr), model_->name},
      choices_(answers),
      usages_(answers),
      shown_(answers) {}

void Exchange::take(size_t index, AnswerPiece piece) {
  if (is_over()) return;
  if (!piece.error.empty()) return fail(piece.error);
  if (!began_) metrics_.count_first_token(seconds_since(begin_));
  usages_[index] = {piece.prompt_tokens, piece.cached_tokens, piece.answer_tokens};
  const bool ends = piece.finish.has_value();
  if (streams_) {
    stream(index, piece);
  } else {
    gather(index, std::move(piece));
  }
  began_ = true;
  if (!ends) return;
  metrics_.count_answer(model_->name, usages_[index].answer_tokens);
  if (++ended_ == choices_.size()) complete();
}

void Exchange::stream(size_t index, const AnswerPiece& piece) {
  if (!began_) {
    reply_->start("text/event-stream; charset=utf-8");
    for (size_t i = 0; head_.is_chat && i < choices_.size(); ++i) {
      reply_->write(server_sent_event(role_chunk(head_, static_cast<int64_t>(i))));
    }
  }
  reply_->write(server_sent_event(
      piece_chunk(head_, static_cast<int64_t>(index), piece, with_scores_, tokenizer_, shown_[index])));
  shown_[index] += piece.text.size();
}

void Exchange::gather(size_t index, AnswerPiece piece) {
  Choice& choice = choices_[index];
  choice.text += piece.text;
  choice.tokens.insert(choice.tokens.end(), std::make_move_iterator(piece.tokens.begin()),
                       std::make_move_iterator(piece.tokens.end()));
  choice.finish = piece.finish;
}

void Exchange::complete() {
  Usage usage;
  for (size_t i = 0; i < usages_.size(); ++i) {
    usage.answer_tokens += usages_[i].answer_tokens;
    if (i % static_cast<size_t>(per_prompt_) != 0) continue;  // a prompt counts once for all of its answers
    usage.prompt_tokens += usages_[i].prompt_tokens;
    usage.cached_tokens += usages_[i].cached_tokens;
  }
  if (!streams_) {
    const auto body = whole_response(head_, choices_, usage, with_scores_, tokenizer_);
    reply_->send({.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)});
    return;
  }
  if (with_usage_) reply_->write(server_sent_event(usage_chunk(head_, usage)));
  reply_->write("data: [DONE]\n\n");
  reply_->finish();
}

void Exchange::fail(const std::string& message) {
  failed_ = true;
  const ApiError error(500, message);
  if (!streams_ || !began_) return reply_->send(error_response(error));
  reply_->write(server_sent_event(error_object(error)));
  reply_->finish();
}

}  // namespace lora
