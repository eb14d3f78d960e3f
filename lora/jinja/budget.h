#pragma once
// What a rendering may cost. Templates come from strangers: a loop over a text that doubles fills the memory, and one
// `in` over a long list takes as long as thousands of statements. So operations pay for what they do wherever they are
// called from, not statements alone.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace lora::jinja {

struct Dict;

// Bounds on a rendering. A template that exceeds them throws.
struct Limits {
  int64_t steps = 50'000'000;           // nodes evaluated, items visited, values compared, pieces of text appended
  size_t bytes = size_t{1} << 28;       // of the result
  size_t made_bytes = size_t{1} << 30;  // of all texts and lists that are made on the way
};

// The largest text that an operation may make. No chat comes near it.
inline constexpr size_t kLongestText = size_t{1} << 26;
// Lists and dicts within one another. It catches a namespace that contains itself.
inline constexpr int kDeepestValue = 200;

// The budget of the rendering that this thread is doing, from its construction to its destruction. The functions pay
// into it, throw TemplateError beyond a limit, and do nothing outside of a rendering.
class Budget {
 public:
  explicit Budget(const Limits& limits);
  ~Budget();
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  static void pay_steps(int64_t count);
  static void pay_bytes(size_t bytes);
  // Namespaces can be changed, so that they may form long chains and circles. The budget keeps each until its end and
  // empties them one by one.
  static void keep(const std::shared_ptr<Dict>& dict);

 private:
  const Limits limits_;
  int64_t steps_ = 0;
  size_t bytes_ = 0;
  std::vector<std::shared_ptr<Dict>> kept_;
  Budget* before_;  // of this thread
};

}  // namespace lora::jinja
