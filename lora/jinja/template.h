#pragma once
// Jinja templates as chat templates use them: rendered as Jinja2's sandbox does with transformers' settings
// (trim_blocks, lstrip_blocks, loop controls, {% generation %}, its tojson, raise_exception, strftime_now), but every
// byte of the rendering says where it comes from. What is not supported is refused by name: when the template is read
// include, import, extends, block, with, do, recursive loops and * and ** in calls; when it comes to that, as Jinja2
// does, a rare filter.
// Written after Jinja2's documentation (jinja.palletsprojects.com, 3.1, "Template Designer Documentation").

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lora/jinja/error.h"
#include "lora/jinja/text.h"
#include "lora/jinja/value.h"

namespace lora::jinja {

struct Node;

// A template that does not end, or grows without bounds, is stopped.
struct Limits {
  int64_t steps = 50'000'000;  // nodes evaluated
  size_t bytes = size_t{1} << 28;
};

struct Date {
  int year = 1970, month = 1, day = 1, hour = 0, minute = 0;
};

// Immutable: several threads may render at once.
class Template {
 public:
  // Throws TemplateError.
  explicit Template(const std::string& source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // `now` is what strftime_now tells. Throws TemplateError for what the template raises itself, and for what has no
  // meaning. Values that are shared between threads must not be namespaces.
  Text render(const std::vector<std::pair<std::string, Value>>& variables, const Date& now,
              const Limits& limits = {}) const;

  // Whether {% generation %} stands in it.
  bool marks_generation() const { return marks_generation_; }

 private:
  std::vector<std::unique_ptr<Node>> nodes_;
  bool marks_generation_ = false;
};

}  // namespace lora::jinja
