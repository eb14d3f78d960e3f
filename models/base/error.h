#pragma once
// The only family of exceptions. Only a program's main() turns one into an exit code and a line on stderr.

#include <stdexcept>
#include <string>

namespace lora {

// Exit codes of all programs; see README, "Exit codes".
enum class ExitCode { kDone = 0, kRecipe = 2, kData = 3, kModel = 4, kStorage = 5, kNumerics = 6, kDistributed = 7 };

// what() is one message: "[component] object: what was found, what was expected; hint".
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& component, const std::string& message)
      : std::runtime_error("[" + component + "] " + message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

// The message of an error without its component.
inline std::string without_component(const Error& error) {
  const std::string text = error.what();
  return text.substr(text.find("] ") + 2);
}

// How a program ends that did not do what it was asked for.
struct Failure {
  int code = 0;              // an exit code
  std::string message = {};  // one message for stderr
};

// A program's arguments or a recipe: exit code 2.
struct RecipeError : Error {
  explicit RecipeError(const std::string& message) : Error(ExitCode::kRecipe, "recipe", message) {}
};
// An adapter's configuration, or a combination of adapters: exit code 2.
struct AdapterError : Error {
  explicit AdapterError(const std::string& message) : Error(ExitCode::kRecipe, "adapter", message) {}
};
// An export's configuration: exit code 2.
struct ExportError : Error {
  explicit ExportError(const std::string& message) : Error(ExitCode::kRecipe, "export", message) {}
};
// Rows, formats, masking: exit code 3.
struct DataError : Error {
  explicit DataError(const std::string& message) : Error(ExitCode::kData, "data", message) {}
};
// Model directory, weights, tokenizer, adapter: exit code 4.
struct ModelError : Error {
  explicit ModelError(const std::string& message) : Error(ExitCode::kModel, "model", message) {}
};
// Reading or writing files: exit code 5.
struct StorageError : Error {
  explicit StorageError(const std::string& message) : Error(ExitCode::kStorage, "storage", message) {}
};
// A loss, gradient or weight that is not finite: exit code 6.
struct NumericsError : Error {
  explicit NumericsError(const std::string& message) : Error(ExitCode::kNumerics, "numerics", message) {}
};
// Processes that train together: exit code 7.
struct DistributedError : Error {
  explicit DistributedError(const std::string& message) : Error(ExitCode::kDistributed, "distributed", message) {}
};

}  // namespace lora
