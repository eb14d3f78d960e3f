#include <string>

#include "lora/recipe/scalars.h"
#include "lora/recipe/values.h"

namespace lora {
namespace {

template <typename List, typename Print>
std::string flow(const char* brackets, const List& list, const Print& print) {
  std::string text;
  for (const auto& item : list) text += (text.empty() ? "" : ", ") + print(item);
  return brackets[0] + text + brackets[1];
}

template <typename Map, typename Rule>
std::string flow_map(const Map& map, const Rule& rule) {
  return flow("{}", map,
              [&](const auto& entry) { return print_text(entry.first) + ": " + print_value(entry.second, rule); });
}

}  // namespace

std::string print_value(bool value, Any) { return value ? "true" : "false"; }
std::string print_value(uint64_t value, Any) { return std::to_string(value); }
std::string print_value(int64_t value, const Integers&) { return std::to_string(value); }
std::string print_value(double value, const Numbers&) { return print_number(value); }
std::string print_value(const std::string& value, Any) { return print_text(value); }
std::string print_value(const std::string& value, OrNull) { return value.empty() ? "null" : print_text(value); }
std::string print_value(const std::string& value, const Names&) { return print_text(value); }
std::string print_value(const std::string& value, const NamesOrNull&) { return print_value(value, OrNull{}); }
std::string print_value(const std::string& value, Template) { return print_text(value); }
std::string print_value(const std::string& value, TemplateOrNull) { return print_value(value, OrNull{}); }

std::string print_value(const std::optional<int64_t>& value, const Integers&) {
  return value ? std::to_string(*value) : "null";
}
std::string print_value(const std::optional<double>& value, const Numbers&) {
  return value ? print_number(*value) : "null";
}
std::string print_value(const std::optional<int64_t>& value, const OrAuto&) {
  return value ? std::to_string(*value) : "auto";
}

std::string print_value(const std::optional<int64_t>& value, Bytes) { return value ? std::to_string(*value) : "null"; }

std::string print_value(const std::vector<std::string>& value, Any) { return flow("[]", value, print_text); }
std::string print_value(const std::vector<std::string>& value, const Names&) { return flow("[]", value, print_text); }
std::string print_value(const std::vector<int64_t>& value, const Integers&) {
  return flow("[]", value, [](int64_t item) { return std::to_string(item); });
}

std::string print_value(const ModulePatterns& value, Any) {
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) return print_value(*list, Any{});
  if (const auto* regex = std::get_if<std::string>(&value)) return print_text(*regex);
  return "all-linear";
}

std::string print_value(const std::vector<std::pair<std::string, int64_t>>& value, const Integers& rule) {
  return flow_map(value, rule);
}
std::string print_value(const std::vector<std::pair<std::string, double>>& value, const Numbers& rule) {
  return flow_map(value, rule);
}
std::string print_value(const std::map<std::string, std::string>& value, Any rule) { return flow_map(value, rule); }

}  // namespace lora
