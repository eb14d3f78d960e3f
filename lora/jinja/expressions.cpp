#include "lora/jinja/expressions.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace lora::jinja {
namespace {

using Kind = Node::Kind;
using TokenKind = Token::Kind;

}  // namespace

NodePtr Expressions::tuple(bool conditional) {
  const size_t line = in_.token().line;
  NodePtr first = conditional ? expression() : disjunction();
  if (!in_.is(",")) return first;
  auto node = in_.node(Kind::kTuple, line);
  node->children.push_back(std::move(first));
  while (in_.accept(",")) {
    if (in_.is(TokenKind::kPrintEnd) || in_.is(TokenKind::kBlockEnd) || in_.is(")")) break;
    node->children.push_back(conditional ? expression() : disjunction());
  }
  return node;
}

NodePtr Expressions::expression() {
  const TokenCursor::Deeper deeper(in_);
  NodePtr value = disjunction();
  while (in_.accept_name("if")) {
    auto node = in_.node(Kind::kCondition);
    node->children.push_back(disjunction());
    node->children.push_back(std::move(value));
    node->children.push_back(in_.accept_name("else") ? expression() : nullptr);
    value = std::move(node);
  }
  return value;
}

NodePtr Expressions::disjunction() {
  NodePtr left = conjunction();
  while (in_.accept_name("or")) left = pair(Kind::kOr, "or", std::move(left), conjunction());
  return left;
}

NodePtr Expressions::conjunction() {
  NodePtr left = negation();
  while (in_.accept_name("and")) left = pair(Kind::kAnd, "and", std::move(left), negation());
  return left;
}

NodePtr Expressions::negation() {
  if (!in_.accept_name("not")) return comparison();
  const TokenCursor::Deeper deeper(in_);
  auto node = in_.node(Kind::kNot);
  node->children.push_back(negation());
  return node;
}

NodePtr Expressions::comparison() {
  NodePtr first = sum();
  std::unique_ptr<Node> node;
  for (;;) {
    std::string name;
    static constexpr std::array kOperators = {"==", "!=", "<", "<=", ">", ">="};
    if (in_.is(TokenKind::kOperator) && std::ranges::count(kOperators, in_.token().text) > 0) {
      name = in_.next().text;
    } else if (in_.accept_name("in")) {
      name = "in";
    } else if (in_.is_name("not") && in_.peek_is_name("in")) {
      in_.next();
      in_.next();
      name = "not in";
    } else {
      return node ? std::move(node) : std::move(first);
    }
    if (!node) {
      node = in_.node(Kind::kCompare);
      node->children.push_back(std::move(first));
    }
    node->names.push_back(name);
    node->children.push_back(sum());
  }
}

NodePtr Expressions::sum() { return chain({"+", "-"}, &Expressions::concatenation); }

NodePtr Expressions::concatenation() { return chain({"~"}, &Expressions::product); }

NodePtr Expressions::product() { return chain({"*", "/", "//", "%"}, &Expressions::power); }

NodePtr Expressions::power() { return chain({"**"}, &Expressions::filtered); }

NodePtr Expressions::chain(std::initializer_list<std::string_view> operators, NodePtr (Expressions::*operand)()) {
  NodePtr left = (this->*operand)();
  while (in_.is(TokenKind::kOperator) && std::ranges::count(operators, in_.token().text) > 0) {
    const std::string name = in_.next().text;
    left = pair(Kind::kBinary, name, std::move(left), (this->*operand)());
  }
  return left;
}

NodePtr Expressions::unary(bool with_filters) {
  const TokenCursor::Deeper deeper(in_);
  NodePtr node;
  if (in_.is("-") || in_.is("+")) {
    node = in_.node(in_.next().text == "-" ? Kind::kNegative : Kind::kPositive);
    node->children.push_back(unary(false));
  } else {
    node = postfix(primary());
  }
  return with_filters ? filters_and_tests(std::move(node)) : std::move(node);
}

NodePtr Expressions::primary() {
  const Token at = in_.token();
  if (at.kind == TokenKind::kName) {
    in_.next();
    if (at.text == "true" || at.text == "True") return constant(Value(true), at);
    if (at.text == "false" || at.text == "False") return constant(Value(false), at);
    if (at.text == "none" || at.text == "None") return constant(None{}, at);
    auto node = in_.node(Kind::kName, at.line);
    node->name = at.text;
    return node;
  }
  if (at.kind == TokenKind::kString) {
    Token all = in_.next();
    while (in_.is(TokenKind::kString)) all.text += in_.next().text;
    return literal(all);
  }
  if (at.kind == TokenKind::kInteger || at.kind == TokenKind::kFloat) return number(in_.next());
  if (in_.accept("(")) return bracketed();
  if (in_.accept("[")) return items(Kind::kList, "]");
  if (in_.accept("{")) return dictionary();
  in_.fail("unexpected " + in_.shown());
}

NodePtr Expressions::bracketed() {
  if (in_.accept(")")) return in_.node(Kind::kTuple);
  NodePtr node = tuple();
  in_.expect(")");
  return node;
}

NodePtr Expressions::items(Kind kind, const char* end) {
  auto node = in_.node(kind);
  while (!in_.accept(end)) {
    if (!node->children.empty()) {
      in_.expect(",");
      if (in_.accept(end)) break;
    }
    node->children.push_back(expression());
  }
  return node;
}

NodePtr Expressions::dictionary() {
  auto node = in_.node(Kind::kDict);
  while (!in_.accept("}")) {
    if (!node->children.empty()) {
      in_.expect(",");
      if (in_.accept("}")) break;
    }
    node->children.push_back(expression());
    in_.expect(":");
    node->children.push_back(expression());
  }
  return node;
}

NodePtr Expressions::postfix(NodePtr node) {
  for (;;) {
    if (in_.accept(".")) {
      auto outer = in_.node(in_.is(TokenKind::kInteger) ? Kind::kSubscript : Kind::kAttribute);
      outer->children.push_back(std::move(node));
      if (in_.is(TokenKind::kInteger)) {
        outer->children.push_back(number(in_.next()));
      } else {
        outer->name = in_.expect(TokenKind::kName, "an attribute").text;
      }
      node = std::move(outer);
    } else if (in_.accept("[")) {
      node = subscript(std::move(node));
    } else if (in_.is("(")) {
      auto outer = in_.node(Kind::kCall);
      outer->children.push_back(std::move(node));
      arguments(*outer);
      node = std::move(outer);
    } else {
      return node;
    }
  }
}

NodePtr Expressions::subscript(NodePtr object) {
  auto node = in_.node(Kind::kSubscript);
  node->children.push_back(std::move(object));
  node->children.push_back(in_.is(":") ? nullptr : tuple());
  if (in_.accept("]")) return node;
  node->kind = Kind::kSlice;
  node->children.resize(4);
  for (size_t i = 2; i < 4 && in_.accept(":"); ++i) {
    if (!in_.is(":") && !in_.is("]")) node->children[i] = expression();
  }
  in_.expect("]");
  return node;
}

void Expressions::arguments(Node& node) {
  in_.expect("(");
  bool list = false, dict = false;
  for (bool first = true; !in_.accept(")"); first = false) {
    if (!first) {
      in_.expect(",");
      if (in_.accept(")")) return;
    }
    const bool by_name = in_.is(TokenKind::kName) && in_.peek_is("=");
    if (in_.is("*")) {
      if (list || dict) in_.fail("a list of arguments behind another list or a dict");
      list = true;
      auto spread = in_.node(Kind::kSpread);
      in_.next();
      spread->children.push_back(expression());
      node.arguments.push_back(std::move(spread));
    } else if (dict) {
      in_.fail("an argument behind a dict of arguments");
    } else if (in_.accept("**")) {
      dict = true;
      node.named.emplace_back("", expression());
    } else if (by_name) {
      const std::string name = in_.next().text;
      in_.next();
      node.named.emplace_back(name, expression());
    } else {
      if (list || !node.named.empty()) in_.fail("an argument by position behind a list or one by name");
      node.arguments.push_back(expression());
    }
  }
}

NodePtr Expressions::filters_and_tests(NodePtr node) {
  for (;;) {
    if (in_.is("|")) {
      node = filters(std::move(node), false);
    } else if (in_.accept_name("is")) {
      node = test(std::move(node));
    } else if (in_.is("(")) {
      auto outer = in_.node(Kind::kCall);
      outer->children.push_back(std::move(node));
      arguments(*outer);
      node = postfix(std::move(outer));
    } else {
      return node;
    }
  }
}

NodePtr Expressions::filters(NodePtr input, bool begun) {
  while (begun || in_.accept("|")) {
    begun = false;
    auto node = in_.node(Kind::kFilter);
    node->name = in_.expect(TokenKind::kName, "a filter").text;
    node->children.push_back(std::move(input));
    if (in_.is("(")) arguments(*node);
    input = std::move(node);
  }
  return input;
}

NodePtr Expressions::test(NodePtr input) {
  const bool negated = in_.accept_name("not");
  auto node = in_.node(Kind::kTest);
  node->name = in_.is("==") || in_.is("!=") || in_.is("<") || in_.is("<=") || in_.is(">") || in_.is(">=")
                   ? in_.next().text
                   : in_.expect(TokenKind::kName, "a test").text;
  node->children.push_back(std::move(input));
  static constexpr std::array kStops = {"else", "or", "and", "if", "is", "in", "not"};
  const bool value = in_.is(TokenKind::kString) || in_.is(TokenKind::kInteger) || in_.is(TokenKind::kFloat) ||
                     in_.is("[") || in_.is("{") ||
                     (in_.is(TokenKind::kName) && std::ranges::count(kStops, in_.token().text) == 0);
  if (in_.is("(")) {
    arguments(*node);
  } else if (value) {
    node->arguments.push_back(postfix(primary()));
  }
  if (!negated) return node;
  auto outer = in_.node(Kind::kNot);
  outer->children.push_back(std::move(node));
  return outer;
}

NodePtr Expressions::pair(Kind kind, const std::string& name, NodePtr left, NodePtr right) const {
  auto node = in_.node(kind);
  node->name = name;
  node->children.push_back(std::move(left));
  node->children.push_back(std::move(right));
  return node;
}

NodePtr Expressions::constant(Value value, const Token& at) {
  auto node = TokenCursor::node(Kind::kConstant, at.line);
  node->value = std::move(value);
  return node;
}

NodePtr Expressions::literal(const Token& at) {
  return constant(text(at.text, kFirstLiteral - static_cast<Origin>(at.offset)), at);
}

NodePtr Expressions::number(const Token& at) const {
  const char *begin = at.text.data(), *end = begin + at.text.size();
  int64_t integer = 0;
  double real = 0;
  if (at.kind == TokenKind::kFloat) {
    std::from_chars(begin, end, real);
    return constant(Value(real), at);
  }
  if (std::from_chars(begin, end, integer).ec != std::errc()) in_.fail("the number " + at.text + " is too large");
  return constant(Value(integer), at);
}

}  // namespace lora::jinja
