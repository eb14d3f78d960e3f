#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>

#include "lora/data/chat_template.h"
#include "lora/recipe/keys.h"
#include "lora/recipe/values.h"
#include "models/base/did_you_mean.h"
#include "models/engine/devices.h"

namespace lora {
namespace {

using Kind = YamlNode::Kind;

[[noreturn]] void fail_expected(const YamlNode& node, const std::string& path, const std::string& expected,
                                const std::string& hint = "") {
  fail_at(node, path, "expected " + expected + ", found " + found(node) + hint);
}

bool is_plain(const YamlNode& node) { return node.is(Kind::kScalar) && !node.quoted; }

// Nothing where the digits do not fit.
template <std::integral T>
std::optional<T> to_integer(const std::string& digits) {
  T value{};
  const char* begin = digits.data() + (digits.starts_with('+') ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return {};
  return value;
}

// True for 010 and -007: whole numbers that other readers of YAML take as octal.
bool looks_octal(const std::string& text) {
  const size_t first = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  return text.size() > first + 1 && text[first] == '0' && is_integer(text);
}

// For what other readers of YAML take as a number, and not this one.
std::string number_hint(const std::string& text) {
  if (looks_octal(text)) return "; octal is not meant here: write it without the 0 in front";
  if (text.starts_with("0x") || text.starts_with("0o") || text.starts_with("0b")) return "; write it in decimal";
  const auto is_of_number = [](char c) { return (c >= '0' && c <= '9') || c == '_' || c == ':'; };
  if (text.empty() || text[0] < '0' || text[0] > '9' || !std::ranges::all_of(text, is_of_number)) return "";
  return "; write it in digits alone";
}

std::string bound(double number) {
  const std::string text = print_number(number);
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

std::string range_of(const Numbers& rule) {
  std::string text = std::isinf(rule.max) ? "a finite number" : "a number";
  text += (rule.above_min ? " > " : " >= ") + bound(rule.min);
  if (!std::isinf(rule.max)) text += (rule.below_max ? " and < " : " and <= ") + bound(rule.max);
  return text;
}

// Reads each item of a list, and throws the errors of all. For a single value in its place, a common slip, the message
// has the correction.
template <typename Read>
void for_each_item(const YamlNode& node, const std::string& path, const Read& read) {
  if (node.is(Kind::kNull)) return;
  if (!node.is(Kind::kList)) {
    fail_expected(node, path, "a list", node.is(Kind::kScalar) ? "; write [" + shown(node.text) + "]" : "");
  }
  Problems problems;
  for (size_t i = 0; i < node.items.size(); ++i) {
    problems.note([&] { read(node.items[i], path + "." + std::to_string(i)); });
  }
  problems.throw_any();
}

template <typename Read>
void for_each_entry(const YamlNode& node, const std::string& path, const std::string& expected, const Read& read) {
  if (node.is(Kind::kNull)) return;
  if (!node.is(Kind::kMap)) fail_expected(node, path, expected);
  Problems problems;
  for (const YamlEntry& entry : node.entries) {
    if (entry.value.unset) continue;
    problems.note([&] {
      if (entry.key.empty()) fail_at(entry.value, path, "expected " + expected + ", found an empty key");
      read(entry.key, entry.value, path + "." + entry.key);
    });
  }
  problems.throw_any();
}

// "[q_proj, v_proj]" for names without a path, one or several between commas, which are not an expression over a whole
// path. Empty for anything else, and for the modules at the top.
std::string names_alone(const std::string& text) {
  if (text.empty() || text == "lm_head" || text == "score" || text.starts_with("model.")) return "";
  std::string names;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    std::string name = text.substr(begin, comma - begin);
    while (name.starts_with(' ')) name.erase(0, 1);
    while (name.ends_with(' ')) name.pop_back();
    const auto is_of_name = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    };
    if (name.empty() || name == "." || !std::ranges::all_of(name, is_of_name)) return "";
    names += (names.empty() ? "[" : ", ") + name;
    begin = comma + 1;
  }
  return names + "]";
}

template <typename T, typename Rule>
void read_pairs(const YamlNode& node, const std::string& path, std::vector<std::pair<std::string, T>>& value,
                const Rule& rule) {
  value.clear();
  for_each_entry(node, path, "a map of module to number",
                 [&](const auto& key, const YamlNode& item, const auto& item_path) {
                   value.emplace_back(key, T{});
                   read_value(item, item_path, value.back().second, rule);
                 });
}

// A number with one of these units, or without one; none: it is not.
std::optional<double> with_unit(const YamlNode& node, const std::vector<std::pair<std::string, double>>& units) {
  if (!is_plain(node)) return std::nullopt;
  std::string digits = node.text;
  double unit = 1;
  for (const auto& [name, factor] : units) {
    if (!digits.ends_with(name)) continue;
    digits.resize(digits.size() - name.size());
    unit = factor;
    break;
  }
  while (digits.ends_with(' ')) digits.pop_back();
  double number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size() && !looks_octal(digits);
  return whole ? std::optional(number * unit) : std::nullopt;
}

}  // namespace

void read_value(const YamlNode& node, const std::string& path, bool& value, Any) {
  if (!is_plain(node) || (node.text != "true" && node.text != "false")) fail_expected(node, path, "true or false");
  value = node.text == "true";
}

void read_value(const YamlNode& node, const std::string& path, uint64_t& value, Any) {
  if (!is_plain(node) || !is_integer(node.text) || looks_octal(node.text)) {
    fail_expected(node, path, "an integer", is_plain(node) ? number_hint(node.text) : "");
  }
  const auto integer = to_integer<uint64_t>(node.text);
  if (!integer) fail_expected(node, path, "an integer from 0 to " + std::to_string(UINT64_MAX));
  value = *integer;
}

void read_value(const YamlNode& node, const std::string& path, int64_t& value, const Integers& rule) {
  if (!is_plain(node) || !is_integer(node.text) || looks_octal(node.text)) {
    const std::string hint = value_hint(path, node.text);
    fail_expected(node, path, "an integer", hint.empty() && is_plain(node) ? number_hint(node.text) : hint);
  }
  const auto integer = to_integer<int64_t>(node.text);
  if (integer && *integer < rule.min) fail_expected(node, path, "an integer >= " + std::to_string(rule.min));
  if (!integer || *integer > rule.max) {
    fail_expected(node, path, "an integer from " + std::to_string(rule.min) + " to " + std::to_string(rule.max));
  }
  value = *integer;
}

void read_value(const YamlNode& node, const std::string& path, double& value, const Numbers& rule) {
  if (!is_plain(node)) fail_expected(node, path, "a number");
  const bool spelt_out = node.text == "nan" || node.text == "NaN" || node.text == "inf" || node.text == "Infinity";
  if ((!is_number(node.text) && !spelt_out) || looks_octal(node.text)) {
    fail_expected(node, path, "a number", number_hint(node.text));
  }
  const char* begin = node.text.data() + (node.text.starts_with('+') ? 1 : 0);
  const char* const last = node.text.data() + node.text.size();
  const auto [end, error] = std::from_chars(begin, last, value);
  const bool finite = error == std::errc() && end == last && std::isfinite(value);
  const bool in_range = finite && (rule.above_min ? value > rule.min : value >= rule.min) &&
                        (rule.below_max ? value < rule.max : value <= rule.max);
  if (!in_range) fail_expected(node, path, range_of(rule));
}

void read_value(const YamlNode& node, const std::string& path, double& value, ShareOrCount) {
  if (is_plain(node) && is_integer(node.text) && node.text != "0") {
    int64_t count = 0;
    read_value(node, path, count, Integers{1});
    value = static_cast<double>(count);
    return;
  }
  try {
    read_value(node, path, value, Numbers{.min = 0, .max = 1, .below_max = true});
  } catch (const RecipeError&) {
    fail_expected(node, path, "a share of the rows, such as 0.1, or a number of rows");
  }
}

void read_value(const YamlNode& node, const std::string& path, std::string& value, Any) {
  if (!node.is(Kind::kScalar)) fail_expected(node, path, "a string");
  if (!node.quoted && (is_number(node.text) || is_bool(node.text))) {
    fail_expected(node, path, "a string", "; put it in quotes if it is one");
  }
  if (node.text.empty()) fail_at(node, path, "expected a string that is not empty");
  // A path would silently end there.
  if (node.text.find('\0') != std::string::npos) fail_at(node, path, "a NUL character in a string");
  value = node.text;
}

void read_value(const YamlNode& node, const std::string& path, std::string& value, OrNull) {
  value.clear();
  if (!node.is(Kind::kNull)) read_value(node, path, value, Any{});
}

void read_value(const YamlNode& node, const std::string& path, std::string& value, const Names& rule) {
  if (!node.is(Kind::kScalar) || !accepts(rule, node.text)) {
    const std::string one_of = rule.known.size() > 1 ? "one of " : "";
    const std::string hint = node.is(Kind::kScalar) ? value_hint(path, node.text) : "";
    fail_expected(node, path, one_of + joined(rule.known),
                  hint.empty() && node.is(Kind::kScalar) ? name_hint(rule, node.text) : hint);
  }
  value = node.text;
}

void read_value(const YamlNode& node, const std::string& path, std::string& value, DeviceName) {
  read_value(node, path, value, Any{});
  if (device_name_problem(value).empty()) return;
  const Names names = {device_names(), {{"gpu", "cuda"}, {"none", "cpu"}}};
  const std::string hint = value_hint(path, value);
  fail_expected(node, path, "one of " + joined(names.known), hint.empty() ? name_hint(names, value) : hint);
}

void read_value(const YamlNode& node, const std::string& path, std::string& value, Template) {
  read_value(node, path, value, Any{});
  const Names& names = template_names();
  if (is_template_text(value) || is_template_path(value) || accepts(names, value)) return;
  fail_expected(node, path, "one of " + joined(names.known) + ", a path that ends in .jinja or a template",
                name_hint(names, value));
}

void read_value(const YamlNode& node, const std::string& path, std::string& value, TemplateOrNull) {
  value.clear();
  if (!node.is(Kind::kNull)) read_value(node, path, value, Template{});
}

void read_value(const YamlNode& node, const std::string& path, std::optional<int64_t>& value, const Integers& rule) {
  value.reset();
  if (!node.is(Kind::kNull)) read_value(node, path, value.emplace(), rule);
}

void read_value(const YamlNode& node, const std::string& path, std::optional<double>& value, const Numbers& rule) {
  value.reset();
  if (!node.is(Kind::kNull)) read_value(node, path, value.emplace(), rule);
}

void read_value(const YamlNode& node, const std::string& path, std::optional<int64_t>& value, const OrAuto& rule) {
  value.reset();
  if (node.is(Kind::kScalar) && node.text == "auto") return;
  if (!is_plain(node) || !is_integer(node.text)) fail_expected(node, path, "an integer or auto");
  read_value(node, path, value.emplace(), Integers(rule));
}

void read_value(const YamlNode& node, const std::string& path, std::optional<int64_t>& value, Bytes) {
  value.reset();
  if (node.is(Kind::kNull)) return;
  const auto bytes = with_unit(node, {{"KiB", 0x1p10},
                                      {"MiB", 0x1p20},
                                      {"GiB", 0x1p30},
                                      {"TiB", 0x1p40},
                                      {"KB", 1e3},
                                      {"MB", 1e6},
                                      {"GB", 1e9},
                                      {"TB", 1e12}});
  if (!bytes || !(*bytes >= 1) || *bytes > 1e18) {
    fail_expected(node, path, "a number of bytes such as 2GiB, 1500MB or 800000000");
  }
  value = static_cast<int64_t>(*bytes);
}

void read_value(const YamlNode& node, const std::string& path, double& value, Seconds) {
  const auto seconds = with_unit(node, {{"s", 1}, {"m", 60}, {"h", 3600}});
  if (!seconds || !(*seconds >= 1) || *seconds > 1e7) {
    fail_expected(node, path, "a time of at least a second such as 90, 90s, 10m or 1h");
  }
  value = *seconds;
}

void read_value(const YamlNode& node, const std::string& path, std::vector<std::string>& value, Any rule) {
  value.clear();
  for_each_item(node, path, [&](const YamlNode& item, const std::string& item_path) {
    read_value(item, item_path, value.emplace_back(), rule);
  });
}

void read_value(const YamlNode& node, const std::string& path, std::vector<std::string>& value, const Names& rule) {
  value.clear();
  for_each_item(node, path, [&](const YamlNode& item, const std::string& item_path) {
    std::string name;
    read_value(item, item_path, name, rule);
    if (std::ranges::count(value, name) > 0) fail_at(item, item_path, "'" + name + "' is named twice");
    value.push_back(name);
  });
}

void read_value(const YamlNode& node, const std::string& path, std::vector<int64_t>& value, const Integers& rule) {
  value.clear();
  if (node.is(Kind::kMap)) fail_expected(node, path, "a list", value_hint(path, ""));
  for_each_item(node, path, [&](const YamlNode& item, const std::string& item_path) {
    read_value(item, item_path, value.emplace_back(), rule);
  });
}

void read_value(const YamlNode& node, const std::string& path, ModulePatterns& value, Any rule) {
  if (!node.is(Kind::kScalar)) {
    if (node.is(Kind::kMap)) fail_expected(node, path, "a list of names, a regular expression or all-linear");
    read_value(node, path, value.emplace<std::vector<std::string>>(), rule);
    return;
  }
  if (node.text == "all-linear") {
    value = AllLinear{};
    return;
  }
  // As an expression it would match nothing.
  if (edit_distance(node.text, "all-linear") <= 2) {
    fail_expected(node, path, "a list of names, a regular expression or all-linear", " (did you mean 'all-linear'?)");
  }
  if (node.text == "all") fail_expected(node, path, "all-linear, a list of names or a regular expression");
  if (const std::string names = names_alone(node.text); !names.empty()) {
    fail_expected(node, path, "a list of names",
                  "; a string is a regular expression over a module's whole path: write " + names);
  }
  read_value(node, path, value.emplace<std::string>(), rule);
}

void read_value(const YamlNode& node, const std::string& path, std::vector<std::pair<std::string, int64_t>>& value,
                const Integers& rule) {
  read_pairs(node, path, value, rule);
}

void read_value(const YamlNode& node, const std::string& path, std::vector<std::pair<std::string, double>>& value,
                const Numbers& rule) {
  read_pairs(node, path, value, rule);
}

void read_value(const YamlNode& node, const std::string& path, std::map<std::string, std::string>& value, Any rule) {
  value.clear();
  for_each_entry(node, path, "a map of column to column",
                 [&](const auto& key, const YamlNode& item, const auto& item_path) {
                   read_value(item, item_path, value[key], rule);
                 });
}

}  // namespace lora
