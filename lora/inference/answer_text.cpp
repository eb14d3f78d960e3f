#include "lora/inference/answer_text.h"

#include <algorithm>

#include "lora/inference/stop_text.h"

namespace lora {
namespace {

constexpr size_t kContext = 6;      // tokens; those of one character are four at most
constexpr size_t kMostPending = 8;  // then they are no character
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

AnswerText::AnswerText(const Tokenizer& tokenizer, std::span<const int64_t> prompt, std::vector<std::string> stops)
    : tokenizer_(tokenizer), stops_(std::move(stops)) {
  const auto context = prompt.last(std::min(prompt.size(), kContext));
  window_.assign(context.begin(), context.end());
  shown_ = window_.size();
}

// What the window's tokens from `shown_` on add to those before.
std::string AnswerText::pending_text() const {
  const std::string before =
      tokenizer_.decode({window_.begin(), window_.begin() + static_cast<std::ptrdiff_t>(shown_)});
  const std::string all = tokenizer_.decode(window_);
  return all.size() > before.size() ? all.substr(before.size()) : "";
}

std::string AnswerText::add(int64_t id) {
  if (is_stopped_) return "";
  window_.push_back(id);
  const std::string text = pending_text();
  if (text.ends_with(kReplacement) && window_.size() - shown_ < kMostPending) return "";
  shown_ = window_.size();
  if (shown_ > 2 * kContext) {
    window_.erase(window_.begin(), window_.end() - static_cast<std::ptrdiff_t>(kContext));
    shown_ = window_.size();
  }
  return release(text, /*all=*/false);
}

std::string AnswerText::rest() {
  if (is_stopped_) return "";
  const std::string text = pending_text();
  shown_ = window_.size();
  return release(text, /*all=*/true);
}

std::string AnswerText::release(const std::string& text, bool all) {
  held_ += text;
  size_t end = stop_place(held_, stops_);
  is_stopped_ = end != held_.npos;
  if (!is_stopped_) end = all ? held_.size() : settled_bytes(held_, stops_);
  std::string shown = held_.substr(0, end);
  held_.erase(0, end);
  return shown;
}

}  // namespace lora
