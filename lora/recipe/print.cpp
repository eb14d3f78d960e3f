// to_yaml: the structs as YAML with every default written out.

#include "lora/recipe/fields.h"

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

class Printer {
 public:
  explicit Printer(std::string indent) : indent_(std::move(indent)) {}

  template <typename T, typename Rule>
  void value(const std::string& key, const T& member, const Rule& rule) {
    text_ += indent_ + key + ": " + print_value(member, rule) + "\n";
  }

  template <typename T, typename Rule>
  void required(const std::string& key, const T& member, const Rule& rule) {
    value(key, member, rule);
  }

  template <typename Section>
  void section(const std::string& key, Section& member) {
    text_ += indent_ + key + ":\n" + printed(member, indent_ + "  ");
  }

  template <typename Section>
  void sections(const std::string& key, std::vector<Section>& members) {
    text_ += indent_ + key + ":" + (members.empty() ? " []\n" : "\n");
    for (Section& member : members) {
      std::string item = printed(member, indent_ + "    ");
      item.replace(indent_.size() + 2, 2, "- ");
      text_ += item;
    }
  }

  template <typename Section>
  static std::string printed(Section&& member, const std::string& indent) {
    Printer printer(indent);
    describe(printer, member);
    return printer.text_;
  }

 private:
  std::string indent_, text_;
};

}  // namespace

std::string print_value(bool value, Any) { return value ? "true" : "false"; }
std::string print_value(uint64_t value, Any) { return std::to_string(value); }
std::string print_value(int64_t value, const Integers&) { return std::to_string(value); }
std::string print_value(double value, const Numbers&) { return print_number(value); }
std::string print_value(double value, ShareOrCount) {
  return value < 1 ? print_number(value) : std::to_string(static_cast<int64_t>(value));
}
std::string print_value(double value, Seconds) { return print_number(value); }
std::string print_value(const std::string& value, Any) { return print_text(value); }
std::string print_value(const std::string& value, OrNull) { return value.empty() ? "null" : print_text(value); }
std::string print_value(const std::string& value, const Names&) { return print_text(value); }
std::string print_value(const std::string& value, DeviceName) { return print_text(value); }
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

// describe() takes what it may change, for readers: a copy.
std::string to_yaml(const Recipe& recipe) { return Printer::printed(Recipe(recipe), ""); }
std::string to_yaml(const AdapterConfig& adapter) { return Printer::printed(AdapterConfig(adapter), ""); }

}  // namespace lora
