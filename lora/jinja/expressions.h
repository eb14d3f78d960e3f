#pragma once
// A template's expressions: operators from the loosest to the tightest, then filters and tests.

#include <initializer_list>
#include <string>
#include <string_view>

#include "lora/jinja/token_cursor.h"

namespace lora::jinja {

class Expressions {
 public:
  explicit Expressions(TokenCursor& in) : in_(in) {}

  NodePtr expression();
  // An expression, or several with commas between them; without `conditional` none is "a if b".
  NodePtr tuple(bool conditional = true);
  // What is behind `input` by bars, one or several; the first has no bar in front where `begun`.
  NodePtr filters(NodePtr input, bool begun);
  // A text of the template. Its origin is its place, so that no two are alike.
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
