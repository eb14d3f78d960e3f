#pragma once
// Bytes that remember where they come from, so that a rendering tells the template's own text from a row's.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora::jinja {

// Positive: data, numbered by the caller. 0: computed (a number, a comma of tojson). Negative: the template's text;
// each literal has an origin of its own, from kFirstLiteral downwards, and what lies between is the caller's to give
// to trusted variables.
using Origin = int32_t;
inline constexpr Origin kComputed = 0;
inline constexpr Origin kFirstLiteral = -1000;

struct Run {
  size_t end;  // the byte after its last; it begins where the run before it ends
  Origin origin;
  bool generated;  // inside {% generation %}
};

class Text {
 public:
  Text() = default;
  Text(std::string bytes, Origin origin);

  const std::string& bytes() const { return bytes_; }
  const std::vector<Run>& runs() const { return runs_; }  // in order, none empty, neighbours differ
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

  void append(const Text& other);
  void append(std::string_view bytes, Origin origin, bool generated = false);
  // Bytes [begin, end).
  Text part(size_t begin, size_t end) const;
  Origin origin_at(size_t byte) const;
  // All bytes from `begin` on are generated.
  void mark_generated(size_t begin);
  // Each byte replaced by another, with its origin.
  template <typename Change>
  Text mapped(const Change& change) const {
    Text text = *this;
    for (size_t i = 0; i < text.bytes_.size(); ++i) text.bytes_[i] = change(i, text.bytes_[i]);
    return text;
  }

 private:
  std::string bytes_;
  std::vector<Run> runs_;
};

}  // namespace lora::jinja
