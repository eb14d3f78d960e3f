#include "lora/inference/continuous_batch.h"

#include <algorithm>

#include "models/base/numbers.h"

namespace lora {
namespace {

std::span<const float> row_of(const kernels::Matrix<const float>& logits, size_t row) {
  return {logits.row(row), logits.columns};
}

}  // namespace

void ContinuousBatch::pass() {
  drop_unwanted();
  take_waiting();
  write();
  read();
}

void ContinuousBatch::clear() {
  waiting_.clear();
  running_.clear();
}

void ContinuousBatch::drop_unwanted() {
  const auto is_unwanted = [](const TokenRequest& request) { return request.is_unwanted && request.is_unwanted(); };
  std::erase_if(waiting_, is_unwanted);
  std::erase_if(running_, [&](const Running& one) { return is_unwanted(one.request); });
}

void ContinuousBatch::take_waiting() {
  while (!waiting_.empty() && running_.size() < limits_.at_once) {
    TokenRequest request = std::move(waiting_.front());
    waiting_.pop_front();
    Sampler sampler(request.sampling, request.prompt, request.end_ids);
    std::vector<double> hidden(request.on_mean ? as_size(decoder_.hidden_size()) : 0);
    running_.push_back({std::move(request), std::move(sampler), {}, 0, {}, std::move(hidden)});
  }
}

// The next token of each answer.
void ContinuousBatch::write() {
  std::vector<DecoderSpan> spans;
  std::vector<Place> places;
  for (auto one = running_.begin(); one != running_.end(); ++one) {
    if (one->reads_prompt()) continue;
    places.push_back(one);
    spans.push_back({&one->sequence, std::span(&one->answer.back(), 1), one->request.model.get(), 1});
  }
  if (spans.empty()) return;
  const auto logits = decoder_.pass(spans);
  ++passes_;
  for (size_t i = 0; i < places.size(); ++i) accept(places[i], row_of(logits, i));
}

// Pieces of the prompts that came first, as many tokens as a piece may have in all.
void ContinuousBatch::read() {
  for (int64_t left = limits_.prompt_piece; left > 0;) {
    const auto one = std::ranges::find_if(running_, [](const Running& r) { return r.reads_prompt(); });
    if (one == running_.end()) return;
    left -= read_piece(one, left);
  }
}

// Returns how many tokens were read, at most `most` unless the text is not to be read in pieces.
int64_t ContinuousBatch::read_piece(Place one, int64_t most) {
  const std::span<const int64_t> prompt = one->request.prompt;
  // Looked for here, since an answer that was added before may have left the same beginning by now.
  // For a mean all tokens are read.
  const bool is_read_only = !one->hidden.empty();
  if (one->sequence.length == 0 && cache_ && !is_read_only) {
    one->sequence = cache_->find(one->request.model, prompt);
    one->known = one->sequence.length;
  }
  const auto rest = prompt.subspan(as_size(one->sequence.length));
  const auto piece = decoder_.reads_in_pieces() ? rest.first(std::min(rest.size(), as_size(most))) : rest;
  const bool is_last = piece.size() == rest.size();
  const DecoderSpan span{&one->sequence, piece, one->request.model.get(), is_last && !is_read_only ? 1 : 0,
                         one->hidden};
  const auto logits = decoder_.pass({&span, 1});
  ++passes_;
  const auto count = static_cast<int64_t>(piece.size());
  tokens_read_ += count;
  if (is_last && is_read_only) {
    for (double& sum : one->hidden) sum /= static_cast<double>(prompt.size());
    one->request.on_mean(one->hidden);
    end(one, AnswerEnd::kWhole);
  } else if (is_last) {
    if (cache_) cache_->keep(one->request.model, prompt, one->sequence);
    accept(one, row_of(logits, 0));
  }
  return count;
}

void ContinuousBatch::accept(Place one, std::span<const float> logits) {
  const int64_t id = one->sampler.next(logits);
  const TokenRequest& request = one->request;
  if (std::ranges::find(request.end_ids, id) != request.end_ids.end()) return end(one, AnswerEnd::kEndToken);
  one->answer.push_back(id);
  if (request.on_token && !request.on_token(id, logits)) return end(one, AnswerEnd::kStopped);
  if (one->sampler.is_over()) return end(one, AnswerEnd::kWhole);
  if (static_cast<int64_t>(one->answer.size()) >= request.max_new_tokens) end(one, AnswerEnd::kLength);
}

void ContinuousBatch::end(Place one, AnswerEnd how) {
  if (cache_) {
    std::vector<int64_t> tokens = one->request.prompt;
    tokens.insert(tokens.end(), one->answer.begin(), one->answer.end());
    cache_->keep(one->request.model, tokens, one->sequence);
  }
  if (one->request.on_end) one->request.on_end(how, one->known);
  running_.erase(one);
}

}  // namespace lora
