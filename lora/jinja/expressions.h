#pragma once
// Parses a template's expressions: operators from the lowest precedence to the highest, then filters and tests.

#include <initializer_list>
#include <string>
#include <string_view>

#include "lora/jinja/token_cursor.h"

namespace lora::jinja {

class Expressions {
 public:
  explicit Expressions(TokenCursor& in) : in_(in) {}

  NodePtr expression();
  // One expression, or several separated by commas. `conditional`: accepts "a if b".
  NodePtr tuple(bool conditional = true);
  // Parses the filters after `input`, each behind a "|". `begun`: the first filter has no "|" in front.
  NodePtr filters(NodePtr input, bool begun);
  // A text literal. Its origin is its position in the template, so each literal has a different origin.
  static NodePtr literal(const Token& at);

 private:
  NodePtr disjunction();
  NodePtr conjunction();
  NodePtr negation();
  NodePtr comparison();
  NodePtr sum();
  NodePtr concatenation();
  NodePtr product();
  NodePtr power();
  NodePtr filtered() { return unary(true); }
  NodePtr chain(std::initializer_list<std::string_view> operators, NodePtr (Expressions::*operand)());
  NodePtr unary(bool with_filters);
  NodePtr primary();
  NodePtr bracketed();
  NodePtr items(Node::Kind kind, const char* end);
  NodePtr dictionary();
  NodePtr postfix(NodePtr node);
  NodePtr subscript(NodePtr object);
  void arguments(Node& node);
  NodePtr filters_and_tests(NodePtr node);
  NodePtr test(NodePtr input);
  NodePtr pair(Node::Kind kind, const std::string& name, NodePtr left, NodePtr right) const;
  NodePtr number(const Token& at) const;
  static NodePtr constant(Value value, const Token& at);

  TokenCursor& in_;
};

}  // namespace lora::jinja
