// Nodes of the tree: finding them, saying what and where they are, and overriding them from the command line.

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "lora/recipe/document.h"
#include "models/base/error.h"

namespace lora {
namespace {

// The value at one step of a path; a map gains the key where it lacks it.
YamlNode& step(YamlNode& parent, const std::string& key, const std::string& parent_path, const std::string& where) {
  if (parent.is(YamlNode::Kind::kNull) && key == "0") {  // the first entry of a list that is not there
    parent.kind = YamlNode::Kind::kList;
    parent.items.emplace_back().where = where;
  }
  if (parent.is(YamlNode::Kind::kNull)) parent.kind = YamlNode::Kind::kMap;
  if (parent.is(YamlNode::Kind::kScalar)) {
    throw RecipeError(where + ": '" + parent_path + "' is a single value and has no '" + key + "'");
  }
  if (parent.is(YamlNode::Kind::kList)) {
    size_t index = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (error != std::errc() || end != key.data() + key.size() || index >= parent.items.size()) {
      throw RecipeError(where + ": no entry '" + key + "' in '" + parent_path + "', which is a list of " +
                        std::to_string(parent.items.size()) + " counted from 0");
    }
    return parent.items[index];
  }
  for (YamlEntry& entry : parent.entries) {
    if (entry.key == key) return entry.value;
  }
  YamlNode added;
  added.where = where;
  parent.entries.push_back({key, where, std::move(added)});
  return parent.entries.back().value;
}

}  // namespace

const YamlNode* YamlNode::find(const std::string& key) const {
  for (const YamlEntry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

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

void apply_override(YamlNode& tree, const std::string& text) {
  const std::string where = "override '" + text + "'";
  const size_t equals = text.find('=');
  if (equals == std::string::npos) throw RecipeError(where + ": expected key.path=value");
  const std::string path = text.substr(0, equals), value = text.substr(equals + 1);

  YamlNode root = tree;
  YamlNode* node = &root;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t dot = std::min(path.find('.', begin), path.size());
    if (dot == begin) throw RecipeError(where + ": an empty name in the path; expected key.path=value");
    const std::string parent_path = begin == 0 ? "" : path.substr(0, begin - 1);
    node = &step(*node, path.substr(begin, dot - begin), parent_path, where);
    begin = dot + 1;
  }
  if (value == "-" || value.starts_with('*')) {
    *node = {};
    node->kind = YamlNode::Kind::kScalar;
    node->text = value;
    node->quoted = true;
  } else {
    Problems problems;
    *node = parse_document(value, {where, false}, problems);
    problems.throw_any();
  }
  node->where = where;
  node->unset = node->is(YamlNode::Kind::kNull);
  tree = std::move(root);
}

}  // namespace lora
