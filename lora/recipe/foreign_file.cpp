#include "lora/recipe/foreign_file.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "lora/recipe/keys.h"
#include "lora/recipe/recipe.h"
#include "lora/recipe/values.h"

namespace lora {

const YamlNode* ForeignFile::given(const std::string& key) const {
  const YamlNode* value = root.find(key);
  return value && !value->is(YamlNode::Kind::kNull) ? value : nullptr;
}

bool ForeignFile::asks_for(const std::string& key) const {
  const YamlNode* value = given(key);
  return value && is_true(*value);
}

bool ForeignFile::refuses(const std::string& key) const {
  const YamlNode* value = given(key);
  return value && value->is(YamlNode::Kind::kScalar) && value->text == "false";
}

std::string own_default(const std::string& path) {
  static const std::map<std::string, std::string> defaults = [] {
    std::map<std::string, std::string> made;
    for (const auto& [key, value] : values_of(Recipe{})) made.emplace(key, value);
    return made;
  }();
  const auto found = defaults.find(path);
  return found == defaults.end() ? "" : found->second;
}

std::string own_path(const std::string& key) {
  const auto synonym = key_synonyms().find(key);
  if (synonym != key_synonyms().end()) return synonym->second.path;
  if (key == "output_dir") return key;
  for (const char* section : {"training", "data", "adapter", "model"}) {
    const auto& keys = known_keys().at(section);
    if (std::ranges::count(keys, key) > 0) return std::string(section) + "." + key;
  }
  return "";
}

std::string flow_text(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "null";
    case YamlNode::Kind::kScalar:
      return !node.quoted && (is_number(node.text) || is_bool(node.text)) ? node.text : print_text(node.text);
    case YamlNode::Kind::kList:
    case YamlNode::Kind::kMap:
      break;
  }
  std::string text;
  for (const YamlNode& item : node.items) text += (text.empty() ? "" : ", ") + flow_text(item);
  for (const YamlEntry& entry : node.entries) {
    text += (text.empty() ? "" : ", ") + print_text(entry.key) + ": " + flow_text(entry.value);
  }
  return node.is(YamlNode::Kind::kList) ? "[" + text + "]" : "{" + text + "}";
}

bool is_true(const YamlNode& node) {
  return node.is(YamlNode::Kind::kScalar) && (node.text == "true" || node.text == "auto");
}

bool says_nothing(const YamlNode& node) {
  return node.is(YamlNode::Kind::kNull) ||
         (node.is(YamlNode::Kind::kScalar) && (node.text.empty() || node.text == "false")) ||
         ((node.is(YamlNode::Kind::kList) || node.is(YamlNode::Kind::kMap)) && node.items.empty() &&
          node.entries.empty());
}

double number_in(const YamlNode& node, double otherwise) {
  double value = otherwise;
  if (node.is(YamlNode::Kind::kScalar)) std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
  return value;
}

int64_t count_in(const YamlNode& node, int64_t otherwise) {
  const double number = number_in(node, static_cast<double>(otherwise));
  return number > 0 ? static_cast<int64_t>(std::min(number, 1e9)) : 0;  // 0 for what is not a number, too
}

std::vector<std::string> words_of(const YamlNode& node) {
  std::vector<std::string> words;
  for (const YamlNode& item : node.items) words.push_back(item.text);
  std::string word;
  for (const char c : node.is(YamlNode::Kind::kScalar) ? node.text + "," : std::string()) {
    if (c != ',') {
      if (c != ' ') word += c;
    } else if (!word.empty()) {
      words.push_back(word);
      word.clear();
    }
  }
  return words;
}

}  // namespace lora
