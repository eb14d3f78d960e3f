#pragma once
// An error in a template, or an error that the template raises itself.

#include <stdexcept>
#include <string>

namespace lora::jinja {

// what(): "line 3: unknown filter 'upcase'". A caller that knows the template's name and the row prepends them.
struct TemplateError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace lora::jinja
