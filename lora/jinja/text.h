#pragma once
// Text in which every byte knows its origin. It tells the template's own text from the text of a data row.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora::jinja {

// Positive: data; the caller assigns the numbers. 0: computed, for example a number or a comma of tojson. Negative: the
// template's text. Each literal has its own origin, from kFirstLiteral downwards. The caller may assign the origins
// between kFirstLiteral and 0 to trusted variables.
using Origin = int32_t;
inline constexpr Origin kComputed = 0;
inline constexpr Origin kFirstLiteral = -1000;

struct Run {
  size_t end;  // one past its last byte; the run begins at the end of the previous run
  Origin origin;
  bool generated;  // inside {% generation %}
};

class Text {
 public:
  Text() = default;
  Text(std::string bytes, Origin origin);

  const std::string& bytes() const { return bytes_; }
  const std::vector<Run>& runs() const { return runs_; }  // in order; no run is empty; neighbours differ
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

  void append(const Text& other);
  void append(std::string_view bytes, Origin origin, bool generated = false);
  // Bytes [begin, end).
  Text part(size_t begin, size_t end) const;
  Origin origin_at(size_t byte) const;
  // Marks all bytes from `begin` on as generated.
  void mark_generated(size_t begin);
  // Replaces each byte by change(index, byte) and keeps its origin.
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
