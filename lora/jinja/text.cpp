#include "lora/jinja/text.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lora/jinja/budget.h"
#include "lora/jinja/error.h"

namespace lora::jinja {

Text::Text(std::string bytes, Origin origin) : bytes_(std::move(bytes)) {
  if (!bytes_.empty()) runs_.push_back({bytes_.size(), origin, false});
}

void Text::append(std::string_view bytes, Origin origin, bool generated) {
  if (bytes.empty()) return;
  Budget::pay_steps(1);
  if (bytes.size() > kLongestText - std::min(kLongestText, bytes_.size())) {
    throw TemplateError("makes a text of more than " + std::to_string(kLongestText) + " bytes");
  }
  bytes_.append(bytes);
  if (!runs_.empty() && runs_.back().origin == origin && runs_.back().generated == generated) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), origin, generated});
  }
}

void Text::append(const Text& other) {
  size_t begin = 0;
  for (const Run& run : other.runs_) {
    append(std::string_view(other.bytes_).substr(begin, run.end - begin), run.origin, run.generated);
    begin = run.end;
  }
}

Text Text::part(size_t begin, size_t end) const {
  Text text;
  end = std::min(end, bytes_.size());
  if (begin >= end) return text;
  auto run = std::ranges::upper_bound(runs_, begin, {}, &Run::end);
  for (size_t at = begin; at < end; at = run->end, ++run) {
    const size_t stop = std::min(end, run->end);
    text.append(std::string_view(bytes_).substr(at, stop - at), run->origin, run->generated);
  }
  return text;
}

Origin Text::origin_at(size_t byte) const { return std::ranges::upper_bound(runs_, byte, {}, &Run::end)->origin; }

void Text::mark_generated(size_t begin) {
  Text marked = part(0, begin);
  for (size_t at = begin; const Run& run : runs_) {
    if (run.end <= begin) continue;
    marked.append(std::string_view(bytes_).substr(at, run.end - at), run.origin, true);
    at = run.end;
  }
  *this = std::move(marked);
}

}  // namespace lora::jinja
