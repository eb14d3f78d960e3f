#pragma once
// The message of the error that an action throws.

#include <functional>
#include <string>

#include "models/base/error.h"

namespace lora::test {

// Empty where `action` throws nothing. An exception that is not an `E` passes through.
template <typename E = Error>
std::string error_message(const std::function<void()>& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return {};
}

}  // namespace lora::test
