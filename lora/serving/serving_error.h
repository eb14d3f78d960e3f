#pragma once
// What keeps a server from serving.

#include "models/base/error.h"

namespace lora {

// An address or port that cannot be had: exit code 2.
struct ServingError : Error {
  explicit ServingError(const std::string& message) : Error(ExitCode::kRecipe, "serve", message) {}
};

}  // namespace lora
