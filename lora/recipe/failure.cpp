#include "lora/recipe/failure.h"

#include <algorithm>

#include "models/base/error.h"

namespace lora {

std::string shown(const std::string& text) {
  constexpr size_t kMost = 60;
  size_t end = std::min(text.size(), kMost);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  std::string result = text.substr(0, end) + (end < text.size() ? "..." : "");
  std::ranges::replace_if(
      result, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; }, '?');
  return result;
}

std::string found(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return (node.quoted ? "the string '" : "'") + shown(node.text) + "'";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return "";
}

void fail_at(const YamlNode& node, const std::string& path, const std::string& message) {
  const bool says_path = path.empty() || node.where.starts_with("override '" + path + "=");
  throw RecipeError(node.where + ": " + (says_path ? "" : path + ": ") + message);
}

std::string place_of(const YamlNode& root, const std::string& path) {
  const YamlNode* node = &root;
  std::string place = root.where;
  for (size_t begin = 0; begin < path.size();) {
    const size_t dot = std::min(path.find('.', begin), path.size());
    const std::string key = path.substr(begin, dot - begin);
    begin = dot + 1;
    if (node->is(YamlNode::Kind::kList)) {
      node = &node->items.at(std::stoul(key));
      place = node->where;
      continue;
    }
    const auto entry = std::ranges::find(node->entries, key, &YamlEntry::key);
    if (entry == node->entries.end() || entry->value.unset) break;
    node = &entry->value;
    place = node->is(YamlNode::Kind::kMap) ? entry->where : node->where;
  }
  return place;
}

}  // namespace lora
