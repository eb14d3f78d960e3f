#include <algorithm>
#include <array>
#include <utility>

#include "lora/jinja/expressions.h"
#include "lora/jinja/syntax.h"
#include "lora/jinja/token_cursor.h"

namespace lora::jinja {
namespace {

using Kind = Node::Kind;
using TokenKind = Token::Kind;

class Statements {
 public:
  explicit Statements(const std::string& source) : in_(source) {}

  std::vector<NodePtr> run() {
    std::vector<NodePtr> nodes = statements({});
    if (!in_.is(TokenKind::kEnd)) in_.fail("unexpected {% " + in_.token().text + " %}");
    return nodes;
  }

 private:
  using Names = std::vector<std::string_view>;

  // Parses up to a block whose name is one of `ends`, which becomes the current token; without such a block, up to the
  // end.
  std::vector<NodePtr> statements(const Names& ends) {
    const TokenCursor::Deeper deeper(in_);
    std::vector<NodePtr> nodes;
    for (;;) {
      if (in_.is(TokenKind::kEnd)) {
        if (!ends.empty()) in_.fail("the template ends; expected {% " + std::string(ends.back()) + " %}");
        return nodes;
      }
      if (in_.is(TokenKind::kData)) {
        auto data = in_.node(Kind::kOutput);
        data->children.push_back(expressions_.literal(in_.next()));
        nodes.push_back(std::move(data));
      } else if (in_.accept(TokenKind::kPrint)) {
        auto output = in_.node(Kind::kOutput);
        output->children.push_back(expressions_.tuple());
        nodes.push_back(std::move(output));
        in_.expect(TokenKind::kPrintEnd, "}}");
      } else {
        in_.expect(TokenKind::kBlock, "a tag");
        if (in_.is(TokenKind::kName) && std::ranges::count(ends, in_.token().text) > 0) return nodes;
        if (!in_loop_ && (in_.is_name("break") || in_.is_name("continue")))
          in_.fail("{% " + in_.token().text + " %} outside of a loop");
        nodes.push_back(statement());
        in_.expect(TokenKind::kBlockEnd, "%}");
      }
    }
  }

  NodePtr statement() {
    const std::string name = in_.is(TokenKind::kName) ? in_.token().text : "";
    static constexpr std::array kKnown = {"if",     "for",        "set",   "macro",   "call",
                                          "filter", "generation", "break", "continue"};
    if (std::ranges::count(kKnown, name) == 0) {
      if (name == "endfor" || name == "endif" || name == "else" || name == "elif")
        in_.fail("{% " + name + " %} without its begin");
      in_.fail("{% " + name + " %} is not supported");
    }
    in_.next();
    if (name == "if") return if_block();
    if (name == "for") return for_block();
    if (name == "set") return set_block();
    if (name == "macro") return macro();
    if (name == "call") return call_block();
    if (name == "filter") {
      auto node = in_.node(Kind::kFilterBlock);
      node->children.push_back(expressions_.filters(nullptr, true));
      block_body(*node, "endfilter");
      return node;
    }
    if (name == "generation") {
      auto node = in_.node(Kind::kGeneration);
      block_body(*node, "endgeneration");
      return node;
    }
    return in_.node(name == "break" ? Kind::kBreak : Kind::kContinue);
  }

  void block_body(Node& node, std::string_view end) {
    in_.expect(TokenKind::kBlockEnd, "%}");
    node.body = statements({end});
    in_.next();
  }

  NodePtr if_block() {
    auto node = in_.node(Kind::kIf);
    node->children.push_back(expressions_.tuple());
    in_.expect(TokenKind::kBlockEnd, "%}");
    node->body = statements({"elif", "else", "endif"});
    const std::string end = in_.next().text;
    if (end == "elif") {
      const TokenCursor::Deeper deeper(in_);
      node->otherwise.push_back(if_block());
    } else if (end == "else") {
      in_.expect(TokenKind::kBlockEnd, "%}");
      node->otherwise = statements({"endif"});
      in_.next();
    }
    return node;
  }

  NodePtr for_block() {
    auto node = in_.node(Kind::kFor);
    node->children.push_back(target());
    in_.expect_name("in");
    node->children.push_back(expressions_.tuple(/*conditional=*/false));
    node->children.push_back(in_.accept_name("if") ? expressions_.expression() : nullptr);
    if (in_.is_name("recursive")) in_.fail("a recursive loop is not supported");
    in_.expect(TokenKind::kBlockEnd, "%}");
    const bool outside = std::exchange(in_loop_, true);
    node->body = statements({"else", "endfor"});
    in_loop_ = outside;
    if (in_.next().text == "else") {
      in_.expect(TokenKind::kBlockEnd, "%}");
      node->otherwise = statements({"endfor"});
      in_.next();
    }
    return node;
  }

  NodePtr set_block() {
    const size_t line = in_.token().line;
    NodePtr variable = target(/*namespaces=*/true);
    if (in_.accept("=")) {
      auto node = in_.node(Kind::kSet, line);
      node->children.push_back(std::move(variable));
      node->children.push_back(expressions_.tuple());
      return node;
    }
    auto node = in_.node(Kind::kSetBlock, line);
    node->children.push_back(std::move(variable));
    node->children.push_back(in_.is("|") ? expressions_.filters(nullptr, false) : nullptr);
    block_body(*node, "endset");
    return node;
  }

  void parameters(Node& node) {
    in_.expect("(");
    while (!in_.accept(")")) {
      if (!node.names.empty()) {
        in_.expect(",");
        if (in_.accept(")")) return;
      }
      node.names.push_back(in_.expect(TokenKind::kName, "a parameter").text);
      node.children.push_back(in_.accept("=") ? expressions_.expression() : nullptr);
    }
  }

  NodePtr macro() {
    auto node = in_.node(Kind::kMacro);
    node->name = in_.expect(TokenKind::kName, "a macro's name").text;
    parameters(*node);
    const bool outside = std::exchange(in_loop_, false);
    block_body(*node, "endmacro");
    in_loop_ = outside;
    return node;
  }

  NodePtr call_block() {
    auto node = in_.node(Kind::kCallBlock);
    node->children.push_back(nullptr);
    if (in_.is("(")) parameters(*node);
    NodePtr call = expressions_.expression();
    if (call->kind != Kind::kCall) in_.fail("{% call %} wants a call of a macro");
    node->children.front() = std::move(call);
    const bool outside = std::exchange(in_loop_, false);
    block_body(*node, "endcall");
    in_loop_ = outside;
    return node;
  }

  // An assignment target: name, name.attribute, or a tuple of them.
  NodePtr target(bool namespaces = false) {
    std::vector<NodePtr> names;
    const size_t line = in_.token().line;
    bool several = false;
    const bool bracket = in_.accept("(");
    do {
      if (several && !in_.is(TokenKind::kName)) break;
      auto node = in_.node(Kind::kName);
      node->name = in_.expect(TokenKind::kName, "a variable").text;
      if (namespaces && in_.accept(".")) {
        auto attribute = in_.node(Kind::kAttribute);
        attribute->name = in_.expect(TokenKind::kName, "an attribute").text;
        attribute->children.push_back(std::move(node));
        node = std::move(attribute);
      }
      names.push_back(std::move(node));
      several = in_.is(",");
    } while (in_.accept(","));
    if (bracket) in_.expect(")");
    if (names.size() == 1 && !several) return std::move(names.front());
    auto node = in_.node(Kind::kTuple, line);
    node->children = std::move(names);
    return node;
  }

  TokenCursor in_;
  Expressions expressions_{in_};
  bool in_loop_ = false;
};

// Converts line ends to \n and drops one line end at the end of the source, as Jinja2 does.
std::string normalised(const std::string& source) {
  std::string text;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else {
      text += '\n';
      i += i + 1 < source.size() && source[i + 1] == '\n';
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

std::vector<NodePtr> parse(const std::string& source) { return Statements(normalised(source)).run(); }

}  // namespace lora::jinja
