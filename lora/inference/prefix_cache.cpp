#include "lora/inference/prefix_cache.h"

#include <algorithm>

#include "models/base/numbers.h"

namespace lora {
namespace {

size_t shared_tokens(std::span<const int64_t> a, std::span<const int64_t> b) {
  return as_size(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

PrefixCache::PrefixCache(const KvLayout& layout, const ModelConfig& config, int64_t bytes)
    : layout_(layout), limit_(config.rope.type == RopeConfig::Type::kLongRope ? 0 : bytes) {}

KvSequence PrefixCache::find(const std::shared_ptr<const ModelSnapshot>& model, std::span<const int64_t> prompt) {
  auto best = texts_.end();
  size_t most = 0;
  for (auto text = texts_.begin(); text != texts_.end(); ++text) {
    if (text->model != model) continue;
    const size_t shared = std::min(shared_tokens(text->tokens, prompt), prompt.size() - 1);
    if (shared > most) most = shared, best = text;
  }
  const size_t pages = most / as_size(kPageTokens);
  if (pages == 0) return {};
  texts_.splice(texts_.begin(), texts_, best);
  KvSequence sequence;
  sequence.pages.assign(best->sequence.pages.begin(), best->sequence.pages.begin() + static_cast<std::ptrdiff_t>(pages));
  sequence.length = static_cast<int64_t>(pages) * kPageTokens;
  return sequence;
}

void PrefixCache::keep(const std::shared_ptr<const ModelSnapshot>& model, std::span<const int64_t> tokens,
                       const KvSequence& sequence) {
  const size_t pages = std::min(tokens.size(), as_size(sequence.length)) / as_size(kPageTokens);
  if (pages == 0) return;
  const auto whole = tokens.first(pages * as_size(kPageTokens));
  for (auto text = texts_.begin(); text != texts_.end();) {
    const auto next = std::next(text);
    if (text->model == model) {
      const size_t shared = shared_tokens(text->tokens, whole);
      if (shared == whole.size()) return texts_.splice(texts_.begin(), texts_, text);  // is known already
      if (shared == text->tokens.size()) drop(text);                                   // its own beginning
    }
    text = next;
  }
  Text text{model, {whole.begin(), whole.end()}, {}};
  text.sequence.pages.assign(sequence.pages.begin(), sequence.pages.begin() + static_cast<std::ptrdiff_t>(pages));
  text.sequence.length = static_cast<int64_t>(whole.size());
  if (bytes_of(text) > limit_) return;
  bytes_ += bytes_of(text);
  texts_.push_front(std::move(text));
  while (bytes_ > limit_) drop(std::prev(texts_.end()));
}

void PrefixCache::forget(const std::shared_ptr<const ModelSnapshot>& model) {
  for (auto text = texts_.begin(); text != texts_.end();) {
    const auto next = std::next(text);
    if (text->model == model) drop(text);
    text = next;
  }
}

void PrefixCache::drop(std::list<Text>::iterator text) {
  bytes_ -= bytes_of(*text);
  texts_.erase(text);
}

int64_t PrefixCache::bytes_of(const Text& text) const {
  return static_cast<int64_t>(text.sequence.pages.size()) * layout_.page_bytes();
}

}  // namespace lora
