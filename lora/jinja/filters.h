#pragma once
// Filters and tests by name.

#include "lora/jinja/value.h"

namespace lora::jinja {

// Both throw TemplateError for a name that is none, and for arguments that are none of theirs.
Value apply_filter(const std::string& name, const Value& input, Arguments arguments);
bool apply_test(const std::string& name, const Value& input, Arguments arguments);

}  // namespace lora::jinja
