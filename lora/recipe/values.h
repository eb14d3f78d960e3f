#pragma once
// One value of a recipe and its rule: from its node to its C++ type, and back to YAML.
//
// `path` is the value's place from the top ("data.train.0.path"), for messages. Every read_value throws RecipeError at
// the value's place in the file; `value` is unspecified then. A string is never empty, a number never NaN or infinite.
// print_value gives one line that reads back to the same value under the same rule, to the last bit.

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/config.h"
#include "lora/recipe/document.h"
#include "models/base/names.h"

namespace lora {

struct Any {};  // any value of the type; of an enum, one of its names
struct Integers {
  int64_t min;
  int64_t max = INT32_MAX;  // a larger number is a slip of the hand, and the product of two cannot overflow
};
struct Numbers {
  double min;
  bool above_min = false;  // min itself is excluded
  double max = std::numeric_limits<double>::infinity();
  bool below_max = false;  // max itself is excluded
};
struct OrAuto : Integers {};  // `auto` is not a value
struct ShareOrCount {};       // a share of rows below 1, or a number of rows; 0 is none
struct Bytes {};              // a number of bytes, alone or with a unit: 2GiB, 1.5 GB
struct Seconds {};            // a time of at least a second, alone in seconds or with a unit: 90, 90s, 10m, 1h
struct OrNull {};             // null is the empty string
struct DeviceName {};         // auto, cpu, cuda or cuda:N
struct Template {};           // one of template_names(), a path that ends in .jinja, or text with {{ or {%
struct TemplateOrNull {};     // null is the empty string

void read_value(const YamlNode& node, const std::string& path, bool& value, Any);
void read_value(const YamlNode& node, const std::string& path, uint64_t& value, Any);
void read_value(const YamlNode& node, const std::string& path, int64_t& value, const Integers& rule);
void read_value(const YamlNode& node, const std::string& path, double& value, const Numbers& rule);
void read_value(const YamlNode& node, const std::string& path, double& value, ShareOrCount);
void read_value(const YamlNode& node, const std::string& path, double& value, Seconds);
void read_value(const YamlNode& node, const std::string& path, std::string& value, Any);
void read_value(const YamlNode& node, const std::string& path, std::string& value, OrNull);
void read_value(const YamlNode& node, const std::string& path, std::string& value, const Names& rule);
void read_value(const YamlNode& node, const std::string& path, std::string& value, DeviceName);
void read_value(const YamlNode& node, const std::string& path, std::string& value, Template);
void read_value(const YamlNode& node, const std::string& path, std::string& value, TemplateOrNull);
// null is not a value.
void read_value(const YamlNode& node, const std::string& path, std::optional<int64_t>& value, const Integers& rule);
void read_value(const YamlNode& node, const std::string& path, std::optional<double>& value, const Numbers& rule);
void read_value(const YamlNode& node, const std::string& path, std::optional<int64_t>& value, const OrAuto& rule);
void read_value(const YamlNode& node, const std::string& path, std::optional<int64_t>& value, Bytes);
// Lists and maps: null is an empty one. A map keeps its order in the file.
void read_value(const YamlNode& node, const std::string& path, std::vector<std::string>& value, Any);
void read_value(const YamlNode& node, const std::string& path, std::vector<std::string>& value, const Names& rule);
void read_value(const YamlNode& node, const std::string& path, std::vector<int64_t>& value, const Integers& rule);
void read_value(const YamlNode& node, const std::string& path, ModulePatterns& value, Any);
void read_value(const YamlNode& node, const std::string& path, std::vector<std::pair<std::string, int64_t>>& value,
                const Integers& rule);
void read_value(const YamlNode& node, const std::string& path, std::vector<std::pair<std::string, double>>& value,
                const Numbers& rule);
void read_value(const YamlNode& node, const std::string& path, std::map<std::string, std::string>& value, Any);

std::string print_value(bool value, Any);
std::string print_value(uint64_t value, Any);
std::string print_value(int64_t value, const Integers&);
std::string print_value(double value, const Numbers&);
std::string print_value(double value, ShareOrCount);
std::string print_value(double value, Seconds);
std::string print_value(const std::string& value, Any);
std::string print_value(const std::string& value, OrNull);
std::string print_value(const std::string& value, const Names&);
std::string print_value(const std::string& value, DeviceName);
std::string print_value(const std::string& value, Template);
std::string print_value(const std::string& value, TemplateOrNull);
std::string print_value(const std::optional<int64_t>& value, const Integers&);
std::string print_value(const std::optional<double>& value, const Numbers&);
std::string print_value(const std::optional<int64_t>& value, const OrAuto&);
std::string print_value(const std::optional<int64_t>& value, Bytes);
std::string print_value(const std::vector<std::string>& value, Any);
std::string print_value(const std::vector<std::string>& value, const Names&);
std::string print_value(const std::vector<int64_t>& value, const Integers&);
std::string print_value(const ModulePatterns& value, Any);
std::string print_value(const std::vector<std::pair<std::string, int64_t>>& value, const Integers&);
std::string print_value(const std::vector<std::pair<std::string, double>>& value, const Numbers&);
std::string print_value(const std::map<std::string, std::string>& value, Any);

// What a plain YAML scalar means, by YAML 1.2's core schema (so `yes` and `1_000` are text), and how text is written so
// that a reader of YAML 1.1 takes it for text too.
bool is_integer(const std::string& plain);  // decimal digits after an optional sign
bool is_number(const std::string& plain);   // 1, 1.5, 2e-4, .inf, .nan
bool is_bool(const std::string& plain);     // true or false, in any of YAML's three spellings

// In quotes where it has to be.
std::string print_text(const std::string& text);
// The shortest form that reads back to the same bits, always with a point: "2.0e-04", which YAML 1.1 takes for a
// number.
std::string print_number(double number);

template <typename E>
requires std::is_enum_v<E>
void read_value(const YamlNode& node, const std::string& path, E& value, Any) {
  std::string name;
  read_value(node, path, name, names_of(value));
  value = *value_of<E>(name);
}
template <typename E>
requires std::is_enum_v<E>
void read_value(const YamlNode& node, const std::string& path, std::optional<E>& value, Any rule) {
  value.reset();
  if (!node.is(YamlNode::Kind::kNull)) read_value(node, path, value.emplace(), rule);
}
template <typename E>
requires std::is_enum_v<E> std::string print_value(E value, Any rule) { return print_value(name_of(value), rule); }
template <typename E>
requires std::is_enum_v<E> std::string print_value(const std::optional<E>& value, Any rule) {
  return value ? print_value(*value, rule) : "null";
}

}  // namespace lora
