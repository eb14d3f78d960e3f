#include "lora/recipe/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include "models/base/error.h"
#include "models/base/utf8.h"

namespace lora {
namespace {

std::string position(const YamlSource& source, int line, int column) {
  return source.has_lines ? source.name + ":" + std::to_string(line) + ":" + std::to_string(column) : source.name;
}

std::string position(const YamlSource& source, const YAML::Mark& mark) {
  return mark.is_null() ? source.name : position(source, mark.line + 1, mark.column + 1);
}

// The number of bytes that follow `first` in its UTF-8 character; -1 where no character starts with it.
int continuation_bytes(unsigned char first) {
  if (first < 0x80) return 0;
  if (first >= 0xC2 && first < 0xE0) return 1;
  if (first >= 0xE0 && first < 0xF0) return 2;
  return first >= 0xF0 && first < 0xF5 ? 3 : -1;
}

// A scalar as UTF-8: the library writes the escapes \N and \_ as one byte each.
std::string in_utf8(const std::string& scalar) {
  if (is_utf8(scalar)) return scalar;
  std::string text;
  for (size_t i = 0; i < scalar.size();) {
    const size_t length = utf8_length(scalar, i);
    const bool escape = length == 0 && (scalar[i] == '\x85' || scalar[i] == '\xA0');
    if (escape) text += '\xC2';
    const size_t bytes = length == 0 ? 1 : length;
    text += scalar.substr(i, bytes);
    i += bytes;
  }
  return text;
}

// The library takes some control characters for the end of the file, guesses encodings, and describes a tab by the line
// before it. This function finds all three first and says what they are.
void refuse_strange_bytes(const std::string& text, const YamlSource& source) {
  int line = 1, column = 1, continues = 0;
  bool indentation = true;
  for (size_t i = 0; i < text.size(); ++i, ++column) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto fail = [&](const std::string& what) { throw RecipeError(position(source, line, column) + ": " + what); };
    if (continues > 0 ? (byte & 0xC0) != 0x80 : continuation_bytes(byte) < 0) {
      fail("this byte is not UTF-8 text; expected a recipe in YAML");
    }
    continues = continues > 0 ? continues - 1 : continuation_bytes(byte);
    if (byte == '\n') {
      ++line;
      column = 0;
      indentation = true;
      continue;
    }
    if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7F) {
      fail("control character " + std::to_string(byte) + "; expected a recipe in YAML");
    }
    if (byte == '\t' && indentation && source.has_lines) {
      const size_t next = text.find_first_not_of(" \t\r", i);
      if (next != std::string::npos && text[next] != '\n' && text[next] != '#') {
        fail("a tab in the indentation; YAML is indented by spaces");
      }
    }
    if (byte != ' ' && byte != '\t') indentation = false;
  }
  if (continues > 0) throw RecipeError(position(source, line, column) + ": ends within a UTF-8 character");
}

// Builds the tree from the parser's events. Events come before any expansion of aliases, so that a small file cannot
// become a large tree.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const YamlSource& source, Problems& problems) : source_(source), problems_(problems) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (std::exchange(started_, true)) fail(mark, "a second document; a recipe is one");
  }
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    note_alias(mark, "&" + name);
    named_anchor_ = true;
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    note_alias(mark, "*");
    add(node(YamlNode::Kind::kNull, mark), mark);
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    begin(mark, "?", anchor);
    add(node(YamlNode::Kind::kNull, mark), mark);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    begin(mark, tag, anchor);
    YamlNode scalar = node(YamlNode::Kind::kScalar, mark);
    scalar.text = in_utf8(value);
    scalar.quoted = tag == "!";
    add(std::move(scalar), mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(mark, tag, anchor);
    open(YamlNode::Kind::kList, mark);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    begin(mark, tag, anchor);
    open(YamlNode::Kind::kMap, mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    YAML::Mark mark;
    std::map<std::string, std::string> keys;  // of a map, with where each stands
    bool has_key = false;                     // a key was read, its value not yet
    bool is_duplicate = false;                // that key was given before
  };

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& message) const {
    throw RecipeError(position(source_, mark) + ": " + message);
  }
  void note(const YAML::Mark& mark, const std::string& message) {
    problems_.add(RecipeError(position(source_, mark) + ": " + message));
  }
  void note_alias(const YAML::Mark& mark, const std::string& what) {
    note(mark, "'" + what + "' is an anchor or alias, which a recipe cannot have; write the value out, or quote it");
  }
  void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    const bool noted = std::exchange(named_anchor_, false);
    if (anchor != 0 && !noted) note_alias(mark, "&");
    if (tag != "?" && tag != "!" && !tag.empty()) note(mark, "a tag ('" + tag + "'), which a recipe cannot have");
  }

  YamlNode node(YamlNode::Kind kind, const YAML::Mark& mark) const {
    YamlNode node;
    node.kind = kind;
    node.where = position(source_, mark);
    return node;
  }
  void open(YamlNode::Kind kind, const YAML::Mark& mark) { open_.push_back({node(kind, mark), mark, {}}); }
  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    add(std::move(done.node), done.mark);
  }

  void add(YamlNode node, const YAML::Mark& mark) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.is(YamlNode::Kind::kList)) {
      parent.node.items.push_back(std::move(node));
    } else if (parent.has_key) {
      if (!parent.is_duplicate) parent.node.entries.back().value = std::move(node);
      parent.has_key = false;
    } else {
      if (!node.is(YamlNode::Kind::kScalar)) fail(mark, "expected a key, which is a plain name");
      const auto [first, is_new] = parent.keys.emplace(node.text, node.where);
      if (!is_new) note(mark, "duplicate key '" + node.text + "', first given at " + first->second);
      if (is_new) parent.node.entries.push_back({node.text, node.where, std::move(node)});
      parent.has_key = true;
      parent.is_duplicate = !is_new;
    }
  }

  const YamlSource& source_;
  Problems& problems_;
  bool started_ = false;
  bool named_anchor_ = false;  // OnAnchor was called for the next node
  YamlNode root_;
  std::vector<Open> open_;
};

// What to look for where the library's words name the grammar's rule that failed.
std::string yaml_advice(const std::string& message) {
  static const std::vector<std::pair<std::string, std::string>> table = {
      {"illegal map value",
       "a second 'key:' in one line, or this line is indented further than the key before it; the keys of one section "
       "begin in the same column, and a text with ': ' in it needs quotes"},
      {"illegal map key", "a key where none can be; the keys of one section begin in the same column"},
      {"end of map not found",
       "this line is indented less than the section before it, or more than its own; the keys of one section begin in "
       "the same column"},
      {"end of sequence not found",
       "this line stands in a list and does not begin with '- ' in the column of the items before it"},
      {"end of map flow not found", "a { without its }, or without a comma between two entries"},
      {"end of sequence flow not found", "a [ without its ], or without a comma between two items"},
      {"block entry", "a '- ' where no list can begin; put it on a line of its own below its key"},
      {"referenced anchor is not defined", "a value that begins with * needs quotes, such as a pattern: \"*.jsonl\""},
      {"alias", "a value that begins with * needs quotes, such as a pattern: \"*.jsonl\""},
      {"anchor", "a value that begins with & needs quotes"},
      {"unknown token", "this character cannot begin a value; put the text in quotes"},
  };
  for (const auto& [part, advice] : table) {
    if (message.find(part) != std::string::npos) return " (" + advice + ")";
  }
  return "";
}

}  // namespace

YamlNode parse_document(const std::string& text, const YamlSource& source, Problems& problems) {
  TreeBuilder builder(source, problems);
  const auto read = [&] {
    refuse_strange_bytes(text, source);
    std::istringstream stream(text);
    try {
      YAML::Parser parser(stream);
      while (parser.HandleNextDocument(builder)) {
      }
    } catch (const YAML::Exception& error) {
      throw RecipeError(position(source, error.mark) + ": not valid YAML: " + error.msg + yaml_advice(error.msg));
    }
  };
  if (!problems.note(read)) problems.throw_any();
  return builder.take();
}

}  // namespace lora
