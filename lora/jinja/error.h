#pragma once
// What is wrong with a template, or what it says itself.

#include <stdexcept>
#include <string>

namespace lora::jinja {

// what(): "line 3: unknown filter 'upcase'". Whoever knows the template's name and the row puts them in front.
struct TemplateError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace lora::jinja
