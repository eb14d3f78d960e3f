#include "lora/inference/continuous_batch.h"

#include <algorithm>

#include "models/base/numbers.h"

namespace lora {
namespace {

std::span<const float> row_of(const kernels::Matrix<const float>& logits, size_t row) {
  return {logits.row(row), logits.columns};
}

int64_t pages_for(int64_t tokens) { return ceil_div(tokens, kPageTokens); }

std::vector<int64_t> tokens_of(std::vector<int64_t> prompt, const std::vector<int64_t>& answer) {
  prompt.insert(prompt.end(), answer.begin(), answer.end());
  return prompt;
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
  paused_.clear();
}

void ContinuousBatch::drop_unwanted() {
  const auto is_unwanted = [](const TokenRequest& request) { return request.is_unwanted && request.is_unwanted(); };
  std::erase_if(waiting_, is_unwanted);
  for (std::list<Running>* all : {&running_, &paused_}) {
    std::erase_if(*all, [&](const Running& one) { return is_unwanted(one.request); });
  }
}

// Those that were paused come first. The first of all is taken without room: what it lacks, the cache has.
void ContinuousBatch::take_waiting() {
  while (running_.size() < limits_.at_once && !(paused_.empty() && waiting_.empty())) {
    const int64_t text = paused_.empty() ? std::ssize(waiting_.front().prompt) : paused_.front().text_length();
    if (!running_.empty() && !has_room(claimed_pages() + pages_for(text + 1))) return;
    if (!paused_.empty()) {
      running_.splice(running_.end(), paused_, paused_.begin());
      continue;
    }
    TokenRequest request = std::move(waiting_.front());
    waiting_.pop_front();
    Sampler sampler(request.sampling, request.prompt, request.end_ids);
    std::vector<double> hidden(request.on_mean ? as_size(decoder_.hidden_size()) : 0);
    running_.push_back({std::move(request), std::move(sampler), {}, 0, {}, std::move(hidden)});
  }
}

// Whether so many pages are free, when the cache has given what it can.
bool ContinuousBatch::has_room(int64_t pages) {
  while (decoder_.free_pages() < pages) {
    if (!cache_ || !cache_->drop_oldest()) return false;
  }
  return true;
}

bool ContinuousBatch::has_room_for(const Running& one, int64_t tokens) {
  return has_room(pages_for(one.sequence.length + tokens) - std::ssize(one.sequence.pages));
}

// Pages that texts which are being read do not have yet.
int64_t ContinuousBatch::claimed_pages() const {
  int64_t claimed = 0;
  for (const Running& one : running_) {
    if (one.reads()) claimed += pages_for(one.text_length() + 1) - std::ssize(one.sequence.pages);
  }
  return claimed;
}

// How many answers have pages.
int64_t ContinuousBatch::with_pages() const {
  return std::ranges::count_if(running_, [](const Running& one) { return !one.sequence.pages.empty(); });
}

// The last one with pages, from `first` on; the end where there is none.
ContinuousBatch::Place ContinuousBatch::last_with_pages(Place first) {
  Place last = running_.end();
  for (auto one = first; one != running_.end(); ++one) {
    if (!one->sequence.pages.empty()) last = one;
  }
  return last;
}

void ContinuousBatch::pause(Place one) {
  one->sequence = {};
  std::ranges::fill(one->hidden, 0.0);
  paused_.splice(paused_.end(), running_, one);
  ++pauses_;
}

// The next token of each answer.
void ContinuousBatch::write() {
  const auto new_pages = [&] {
    return std::ranges::count_if(running_, [](const Running& one) {
      return !one.reads() && one.sequence.length == std::ssize(one.sequence.pages) * kPageTokens;
    });
  };
  while (!has_room(new_pages()) && with_pages() > 1) pause(last_with_pages(running_.begin()));
  std::vector<DecoderSpan> spans;
  std::vector<Place> places;
  for (auto one = running_.begin(); one != running_.end(); ++one) {
    if (one->reads()) continue;
    places.push_back(one);
    spans.push_back({&one->sequence, std::span(&one->answer.back(), 1), one->request.model.get(), 1});
  }
  if (spans.empty()) return;
  const auto logits = decoder_.pass(spans);
  ++passes_;
  for (size_t i = 0; i < places.size(); ++i) accept(places[i], row_of(logits, i));
}

// Pieces of the texts that came first, as many tokens as a piece may have in all.
void ContinuousBatch::read() {
  for (int64_t left = limits_.prompt_piece; left > 0;) {
    const auto one = std::ranges::find_if(running_, [](const Running& r) { return r.reads(); });
    if (one == running_.end()) return;
    left -= read_piece(one, left);
  }
}

// Returns how many tokens were read, at most `most` unless the text is not to be read in pieces. An answer without room is
// paused instead, and so are those that came after it.
int64_t ContinuousBatch::read_piece(Place one, int64_t most) {
  std::vector<int64_t> again;  // prompt and answer of one that was paused
  std::span<const int64_t> text = one->request.prompt;
  if (!one->answer.empty()) {
    again = tokens_of(one->request.prompt, one->answer);
    text = std::span(again).first(again.size() - 1);
  }
  // Looked for here, since an answer that was added before may have left the same beginning by now.
  // For a mean all tokens are read.
  const bool is_read_only = !one->hidden.empty();
  if (one->sequence.length == 0 && cache_ && !is_read_only && has_room(1)) {
    one->sequence = cache_->find(one->request.model, text);
    if (one->answer.empty()) one->known = one->sequence.length;
  }
  const auto rest = text.subspan(as_size(one->sequence.length));
  const auto piece = decoder_.reads_in_pieces() ? rest.first(std::min(rest.size(), as_size(most))) : rest;
  const auto count = static_cast<int64_t>(piece.size());
  while (!has_room_for(*one, count) && with_pages() > (one->sequence.pages.empty() ? 0 : 1)) {
    Place last = last_with_pages(one);
    if (last == running_.end()) last = one;
    const bool is_this = last == one;
    pause(last);
    if (is_this) return count;
  }
  const bool is_last = piece.size() == rest.size(), is_new = one->answer.empty();
  const DecoderSpan span{&one->sequence, piece, one->request.model.get(), is_last && is_new && !is_read_only ? 1 : 0,
                         one->hidden};
  const auto logits = decoder_.pass({&span, 1});
  ++passes_;
  tokens_read_ += count;
  if (!is_last) return count;
  if (is_read_only) {
    for (double& sum : one->hidden) sum /= static_cast<double>(text.size());
    one->request.on_mean(one->hidden);
    end(one, AnswerEnd::kWhole);
  } else if (is_new) {
    if (cache_) cache_->keep(one->request.model, text, one->sequence);
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
    cache_->keep(one->request.model, tokens_of(one->request.prompt, one->answer), one->sequence);
  }
  if (one->request.on_end) one->request.on_end(how, one->known);
  running_.erase(one);
}

}  // namespace lora
