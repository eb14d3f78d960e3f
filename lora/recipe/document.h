#pragma once
// YAML text as a plain tree in which everything knows where it was written. The only file that sees the YAML library is
// document.cpp.

#include <string>
#include <vector>

namespace lora {

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  std::string where;               // "recipes/a.yaml:12:5", or "override 'adapter.rank=4'"
  std::string text;                // of a scalar
  bool quoted = false;             // a scalar in quotes or a block scalar: text whatever it looks like
  bool unset = false;              // a null from an override: takes back what the file says
  std::vector<YamlNode> items;     // of a list
  std::vector<YamlEntry> entries;  // of a map, in order, no key twice

  bool is(Kind other) const { return kind == other; }
  // The value of a key of a map; null where there is none.
  const YamlNode* find(const std::string& key) const;
};

struct YamlEntry {
  std::string key;
  std::string where;  // of the key
  YamlNode value;
};

// Where a text stands in the world, for error messages: a file whose lines count, or one command-line argument.
struct YamlSource {
  std::string name;
  bool has_lines;
};

// The one document in `text`; a null node when it holds none. Throws RecipeError at its line and column for text that
// is no YAML or not UTF-8, a tab in the indentation, a key given twice or that is no plain name, an anchor, an alias, a
// tag and a second document.
YamlNode parse_document(const std::string& text, const YamlSource& source);

// Puts an override "key.path=value" into the tree; a number in the path counts the entries of a list from 0. Keys are
// not checked here: one that nobody knows is found when the tree is read, as in a file. Throws RecipeError.
void apply_override(YamlNode& root, const std::string& text);

}  // namespace lora
