#pragma once
// YAML text as a tree in which every node knows where it was written, and the wording of errors about nodes. Only
// document.cpp sees the YAML library.

#include <string>
#include <vector>

#include "lora/recipe/problems.h"

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

// Where a text comes from, for error messages: a file with lines, or one command-line argument.
struct YamlSource {
  std::string name;
  bool has_lines;
};

// The one document in `text`; a null node when it holds none. Notes in `problems`, with line and column, a key given
// twice, an anchor, an alias and a tag. Throws RecipeError, with what was noted so far, where reading cannot continue:
// text that is not YAML or not UTF-8, a tab in the indentation, a key that is not a scalar and a second document.
YamlNode parse_document(const std::string& text, const YamlSource& source, Problems& problems);

// Puts an override "key.path=value" into the tree; a number in the path is an index into a list, from 0, and 0 begins a
// list that is not there. The value is
// YAML, except that one which begins with * is text: a pattern of files. "-" alone is text too: standard input. Keys
// are not checked here: an unknown one is found when the tree is read, as in a file. Throws RecipeError; the tree is
// then as before.
void apply_override(YamlNode& root, const std::string& text);

// What a node is, for a message: "'abc'", "the string '8'", "nothing", "a list", "a map".
std::string found(const YamlNode& node);

// A name from the file, shortened and without control characters.
std::string shown(const std::string& text);

// Throws RecipeError "recipes/a.yaml:12:5: adapter.rank: MESSAGE"; without the path where the node
// is an override of this very value, whose text has it.
[[noreturn]] void fail_at(const YamlNode& node, const std::string& path, const std::string& message);

// Where the value at `path` was written: for a map, the place of its key; for a value that is absent, the place of the
// nearest node above it.
std::string place_of(const YamlNode& root, const std::string& path);

}  // namespace lora
