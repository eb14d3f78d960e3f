#include "lora/inference/prefix_cache.h"

#include <algorithm>

#include "models/base/numbers.h"

namespace lora {
namespace {

size_t shared_tokens(std::span<const int64_t> a, std::span<const int64_t> b) {
  return as_size(std::ranges::mismatch(a, b).in1 - a.begin());
}

// The pages of the first tokens of a sequence, which they share with it.
KvSequence first_tokens(const KvSequence& sequence, size_t tokens) {
  const size_t pages = ceil_div(tokens, as_size(kPageTokens));
  return {{sequence.pages.begin(), sequence.pages.begin() + static_cast<std::ptrdiff_t>(pages)},
          static_cast<int64_t>(tokens)};
}

}  // namespace

PrefixCache::PrefixCache(const BatchDecoder& decoder, int64_t bytes)
    : decoder_(decoder), limit_(decoder.reads_in_pieces() ? bytes : 0) {}

KvSequence PrefixCache::find(const std::shared_ptr<const ModelSnapshot>& model, std::span<const int64_t> prompt) {
  auto best = texts_.end();
  size_t most = 0;
  for (auto text = texts_.begin(); text != texts_.end(); ++text) {
    if (text->model != model) continue;
    const size_t shared = std::min(shared_tokens(text->tokens, prompt), prompt.size() - 1);
    if (shared > most) most = shared, best = text;
  }
  if (most == 0) return {};
  texts_.splice(texts_.begin(), texts_, best);
  KvSequence sequence = first_tokens(best->sequence, most);
  // The last page goes on with other tokens than here.
  if (most % as_size(kPageTokens) != 0) {
    std::shared_ptr<KvPage>& last = sequence.pages.back();
    last = decoder_.copy_of(*last);
  }
  return sequence;
}

void PrefixCache::keep(const std::shared_ptr<const ModelSnapshot>& model, std::span<const int64_t> tokens,
                       const KvSequence& sequence) {
  const auto whole = tokens.first(std::min(tokens.size(), as_size(sequence.length)));
  if (whole.empty() || limit_ == 0) return;
  for (auto text = texts_.begin(); text != texts_.end();) {
    const auto next = std::next(text);
    if (text->model == model) {
      const size_t shared = shared_tokens(text->tokens, whole);
      if (shared == whole.size()) return texts_.splice(texts_.begin(), texts_, text);  // is known already
      if (shared == text->tokens.size()) drop(text);                                   // its own beginning
    }
    text = next;
  }
  Text text{model, {whole.begin(), whole.end()}, first_tokens(sequence, whole.size())};
  if (bytes_of(text) > limit_) return;
  bytes_ += bytes_of(text);
  texts_.push_front(std::move(text));
  while (bytes_ > limit_) drop_oldest();
}

void PrefixCache::forget(const std::shared_ptr<const ModelSnapshot>& model) {
  for (auto text = texts_.begin(); text != texts_.end();) {
    const auto next = std::next(text);
    if (text->model == model) drop(text);
    text = next;
  }
}

bool PrefixCache::drop_oldest() {
  if (texts_.empty()) return false;
  drop(std::prev(texts_.end()));
  return true;
}

void PrefixCache::drop(std::list<Text>::iterator text) {
  bytes_ -= bytes_of(*text);
  texts_.erase(text);
}

int64_t PrefixCache::bytes_of(const Text& text) const {
  return static_cast<int64_t>(text.sequence.pages.size()) * decoder_.layout().page_bytes();
}

}  // namespace lora
