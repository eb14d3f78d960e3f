#pragma once
// Filters and tests, called by name.

#include "lora/jinja/value.h"

namespace lora::jinja {

// Both throw TemplateError for an unknown name and for arguments that the filter or test does not take.
Value apply_filter(const std::string& name, const Value& input, Arguments arguments);
bool apply_test(const std::string& name, const Value& input, Arguments arguments);

}  // namespace lora::jinja
