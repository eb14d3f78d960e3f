#pragma once
// JSON values that know their file and key, for error messages.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// Parses a whole file. Throws ModelError with the path if it is unreadable or not JSON.
nlohmann::json read_json(const std::filesystem::path& path);

// A value inside a document, which must outlive it. Every getter throws ModelError ("FILE: KEY.KEY is a string,
// expected an object") if the value has another type.
class JsonView {
 public:
  JsonView(const nlohmann::json& value, std::string file) : value_(&value), file_(std::move(file)) {}

  // The member of an object. Throws if it is missing.
  JsonView at(std::string_view key) const;
  // The member of an object; nothing if it is missing or null.
  std::optional<JsonView> find(std::string_view key) const;
  // The elements of an array.
  std::vector<JsonView> elements() const;

  const std::string& string() const;
  bool boolean() const;
  // An integer in [0, most].
  int64_t integer(int64_t most) const;

  std::string string_or(std::string_view key, const std::string& otherwise) const;
  bool boolean_or(std::string_view key, bool otherwise) const;

  const nlohmann::json& value() const { return *value_; }
  // The JSON object or array itself, after a check of its type.
  const nlohmann::json& object() const;
  const nlohmann::json& array() const;

  // "FILE: KEY", for messages that come later.
  std::string place() const;
  // Throws ModelError: "FILE: KEY: problem".
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  JsonView(const nlohmann::json& value, std::string file, std::string where)
      : value_(&value), file_(std::move(file)), where_(std::move(where)) {}
  [[noreturn]] void expected(const char* type) const;

  const nlohmann::json* value_;
  std::string file_, where_;
};

}  // namespace lora
