#include "lora/data/tokenizers/json_view.h"

#include <nlohmann/json.hpp>

#include "models/base/error.h"
#include "models/base/file_kind.h"
#include "models/base/json.h"
#include "models/base/mapped_file.h"

namespace lora {

using nlohmann::json;

json read_json(const std::filesystem::path& path) {
  const MappedFile file(path);
  const char* bytes = reinterpret_cast<const char*>(file.data());
  try {
    return parse_json<json>(std::string_view(bytes, file.size()));
  } catch (const json::exception& error) {
    const std::string kind = file_kind({bytes, file.size()});
    throw ModelError(path.string() + (kind.empty() ? ": not whole JSON: " + std::string(error.what())
                                                   : ": is " + kind + "; expected a JSON file"));
  }
}

std::string JsonView::place() const { return where_.empty() ? file_ : file_ + ": " + where_; }

void JsonView::fail(const std::string& problem) const { throw ModelError(place() + ": " + problem); }

void JsonView::expected(const char* type) const {
  fail(std::string("found ").append(value_->type_name()).append(", expected ").append(type));
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  const auto found = object().find(std::string(key));
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return JsonView(*found, file_, where_.empty() ? std::string(key) : where_ + "." + std::string(key));
}

JsonView JsonView::at(std::string_view key) const {
  const auto found = find(key);
  if (!found) fail("'" + std::string(key) + "' is missing");
  return *found;
}

std::vector<JsonView> JsonView::elements() const {
  std::vector<JsonView> found;
  for (const json& element : array()) {
    found.push_back(JsonView(element, file_, where_ + "[" + std::to_string(found.size()) + "]"));
  }
  return found;
}

const std::string& JsonView::string() const {
  if (!value_->is_string()) expected("a string");
  return value_->get_ref<const std::string&>();
}

bool JsonView::boolean() const {
  if (!value_->is_boolean()) expected("true or false");
  return value_->get<bool>();
}

int64_t JsonView::integer(int64_t most) const {
  if (!value_->is_number_integer()) expected("a whole number");
  const bool fits = value_->is_number_unsigned() ? value_->get<uint64_t>() <= static_cast<uint64_t>(most)
                                                 : value_->get<int64_t>() >= 0 && value_->get<int64_t>() <= most;
  if (!fits) fail("found " + value_->dump() + ", expected 0 to " + std::to_string(most));
  return value_->get<int64_t>();
}

const json& JsonView::object() const {
  if (!value_->is_object()) expected("an object");
  return *value_;
}

const json& JsonView::array() const {
  if (!value_->is_array()) expected("an array");
  return *value_;
}

std::string JsonView::string_or(std::string_view key, const std::string& otherwise) const {
  const auto found = find(key);
  return found ? found->string() : otherwise;
}

bool JsonView::boolean_or(std::string_view key, bool otherwise) const {
  const auto found = find(key);
  return found ? found->boolean() : otherwise;
}

}  // namespace lora
