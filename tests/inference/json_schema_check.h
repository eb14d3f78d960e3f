#pragma once
// Whether a value keeps to a JSON Schema, read straight from the specification: for the keywords that answers are held
// to.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

namespace lora::test {

inline size_t characters(const std::string& text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

inline bool is_of_type(const std::string& type, const nlohmann::json& value) {
  if (type == "integer") return value.is_number() && std::floor(value.get<double>()) == value.get<double>();
  return type == value.type_name();
}

inline bool keeps_to(const nlohmann::json& schema, const nlohmann::json& value, const nlohmann::json& root) {
  if (schema.is_boolean()) return schema.get<bool>();
  const auto holds = [&](const nlohmann::json& other) { return keeps_to(other, value, root); };
  const auto number = [&](const char* key, double otherwise) { return schema.value(key, otherwise); };
  for (const auto& [key, wanted] : schema.items()) {
    if (key == "type") {
      const auto types = wanted.is_array() ? wanted : nlohmann::json::array({wanted});
      if (std::ranges::none_of(types, [&](const nlohmann::json& type) { return is_of_type(type, value); }))
        return false;
    }
    if (key == "enum" && std::ranges::find(wanted, value) == wanted.end()) return false;
    if (key == "const" && value != wanted) return false;
    if (key == "$ref" && !holds(root.at(nlohmann::json::json_pointer(wanted.get<std::string>().substr(1)))))
      return false;
    if (key == "anyOf" && std::ranges::none_of(wanted, holds)) return false;
    if (key == "oneOf" && std::ranges::count_if(wanted, holds) != 1) return false;
    if (key == "allOf" && !std::ranges::all_of(wanted, holds)) return false;
  }
  if (value.is_string()) {
    const auto length = static_cast<double>(characters(value.get<std::string>()));
    if (length < number("minLength", 0) || length > number("maxLength", 1e18)) return false;
  }
  if (value.is_number()) {
    const double x = value.get<double>();
    if (x < number("minimum", -1e300) || x > number("maximum", 1e300)) return false;
    if (x <= number("exclusiveMinimum", -1e300) || x >= number("exclusiveMaximum", 1e300)) return false;
  }
  if (value.is_array()) {
    const auto length = static_cast<double>(value.size());
    if (length < number("minItems", 0) || length > number("maxItems", 1e18)) return false;
    for (const auto& one : value) {
      if (schema.contains("items") && !keeps_to(schema["items"], one, root)) return false;
    }
  }
  if (value.is_object()) {
    for (const auto& name : schema.value("required", nlohmann::json::array())) {
      if (!value.contains(name.get<std::string>())) return false;
    }
    const auto properties = schema.value("properties", nlohmann::json::object());
    for (const auto& [name, one] : value.items()) {
      const auto& rule =
          properties.contains(name) ? properties[name] : schema.value("additionalProperties", nlohmann::json(true));
      if (!keeps_to(rule, one, root)) return false;
    }
  }
  return true;
}

}  // namespace lora::test
