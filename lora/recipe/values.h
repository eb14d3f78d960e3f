#pragma once
// One value of a recipe under the rule it has to keep: from its node to its C++ type, and back to YAML.
//
// `path` is the value's place from the top ("data.train.0.path"), for messages. Every read_value throws RecipeError at
// the value's place in the file and leaves `value` unspecified then. A string is never empty, a number never NaN or
// infinite. print_value gives one line that reads back to the same value under the same rule, to the last bit.

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/config.h"
#include "lora/recipe/document.h"
#include "lora/recipe/known_names.h"

namespace lora {

struct Any {};  // nothing but the type
struct Integers {
  int64_t min;
  int64_t max = INT32_MAX;  // more of anything is a slip of the hand, and no product of two can overflow
};
struct Numbers {
  double min;
  bool above_min = false;  // min itself is out
  double max = std::numeric_limits<double>::infinity();
  bool below_max = false;  // max itself is out
};
struct OrAuto : Integers {};  // `auto` stands for no value
struct Bytes {};              // a number of bytes, alone or with a unit: 2GiB, 1.5 GB
struct OrNull {};             // null stands for the empty string
struct Template {};           // one of known_templates(), a path that ends in .jinja, or a template: text with {{ or {%
struct TemplateOrNull {};     // null stands for the empty string
struct NamesOrNull {          // one of the names; null stands for the empty string
  const Names& names;
};

void read_value(const YamlNode& node, const std::string& path, bool& value, Any);
void read_value(const YamlNode& node, const std::string& path, uint64_t& value, Any);
void read_value(const YamlNode& node, const std::string& path, int64_t& value, const Integers& rule);
void read_value(const YamlNode& node, const std::string& path, double& value, const Numbers& rule);
void read_value(const YamlNode& node, const std::string& path, std::string& value, Any);
void read_value(const YamlNode& node, const std::string& path, std::string& value, OrNull);
void read_value(const YamlNode& node, const std::string& path, std::string& value, const Names& rule);
void read_value(const YamlNode& node, const std::string& path, std::string& value, const NamesOrNull& rule);
void read_value(const YamlNode& node, const std::string& path, std::string& value, Template);
void read_value(const YamlNode& node, const std::string& path, std::string& value, TemplateOrNull);
// null: none.
void read_value(const YamlNode& node, const std::string& path, std::optional<int64_t>& value, const Integers& rule);
void read_value(const YamlNode& node, const std::string& path, std::optional<double>& value, const Numbers& rule);
void read_value(const YamlNode& node, const std::string& path, std::optional<int64_t>& value, const OrAuto& rule);
void read_value(const YamlNode& node, const std::string& path, std::optional<int64_t>& value, Bytes);
// Lists and maps: null is an empty one; a map keeps the order it is written in.
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
std::string print_value(const std::string& value, Any);
std::string print_value(const std::string& value, OrNull);
std::string print_value(const std::string& value, const Names&);
std::string print_value(const std::string& value, const NamesOrNull&);
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

}  // namespace lora
