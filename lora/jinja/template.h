#pragma once
// Renders Jinja templates as chat templates use them. The result equals that of Jinja2's sandbox with transformers'
// settings: trim_blocks, lstrip_blocks, loop controls, {% generation %}, its tojson, raise_exception, strftime_now. In
// addition, every byte of the result records its origin.
// An unsupported feature throws with its name. The constructor refuses include, import, extends, block, with, do and
// recursive loops. An unsupported filter throws only when it is evaluated, as in Jinja2.
// Written after Jinja2's documentation (jinja.palletsprojects.com, 3.1, "Template Designer Documentation").

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lora/jinja/budget.h"
#include "lora/jinja/error.h"
#include "lora/jinja/text.h"
#include "lora/jinja/value.h"

namespace lora::jinja {

struct Node;

struct Date {
  int year = 1970, month = 1, day = 1, hour = 0, minute = 0;
};

// Immutable: several threads may render at the same time.
class Template {
 public:
  // Throws TemplateError.
  explicit Template(const std::string& source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // `now` is the time that strftime_now returns. Throws TemplateError for an error that the template raises and for an
  // invalid operation. Values shared between threads must not be namespaces.
  Text render(const std::vector<std::pair<std::string, Value>>& variables, const Date& now,
              const Limits& limits = {}) const;

  // True if the template contains {% generation %}.
  bool marks_generation() const { return marks_generation_; }

 private:
  std::vector<std::unique_ptr<Node>> nodes_;
  bool marks_generation_ = false;
};

}  // namespace lora::jinja
