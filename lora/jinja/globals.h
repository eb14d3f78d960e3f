#pragma once
// The functions that every template can call.

#include <optional>
#include <string>

#include "lora/jinja/template.h"

namespace lora::jinja {

// range, dict, namespace, raise_exception, strftime_now.
std::optional<Value> global(const std::string& name, const Date& now);

}  // namespace lora::jinja
