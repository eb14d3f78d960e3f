#pragma once
// A position in a template's tokens, for the parsers.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lora/jinja/lexer.h"
#include "lora/jinja/syntax.h"

namespace lora::jinja {

class TokenCursor {
 public:
  explicit TokenCursor(const std::string& source) : tokens_(tokenize(source)) {}

  const Token& token() const { return tokens_[at_]; }
  const Token& next();  // returns the current token and moves past it; stays on the last token

  bool is(Token::Kind kind) const { return token().kind == kind; }
  bool is(std::string_view operator_) const { return is(Token::Kind::kOperator) && token().text == operator_; }
  bool is_name(std::string_view name) const { return is(Token::Kind::kName) && token().text == name; }
  // Checks the token after the current one. The current token must not be the last.
  bool peek_is(std::string_view operator_) const { return peek_is(Token::Kind::kOperator, operator_); }
  bool peek_is_name(std::string_view name) const { return peek_is(Token::Kind::kName, name); }

  // Moves past the current token if it matches.
  bool accept(Token::Kind kind) { return is(kind) && (next(), true); }
  bool accept(std::string_view operator_) { return is(operator_) && (next(), true); }
  bool accept_name(std::string_view name) { return is_name(name) && (next(), true); }

  // Moves past the current token, or throws a TemplateError with the expected and the found token.
  const Token& expect(Token::Kind kind, const std::string& expected);
  void expect(std::string_view operator_);
  void expect_name(std::string_view name);

  std::string shown() const;  // the current token for an error message
  [[noreturn]] void fail(const std::string& message) const;

  // A node on the current line. Throws if the expression has too many: a chain of operators or filters is as deep as it
  // is long, and is evaluated and destroyed by recursion.
  std::unique_ptr<Node> node(Node::Kind kind);
  static std::unique_ptr<Node> node(Node::Kind kind, size_t line);

  // Counts one level of nesting during its lifetime. Throws if the nesting is too deep.
  class Deeper {
   public:
    explicit Deeper(TokenCursor& in);
    ~Deeper() { --in_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    TokenCursor& in_;
  };

 private:
  bool peek_is(Token::Kind kind, std::string_view text) const {
    return tokens_[at_ + 1].kind == kind && tokens_[at_ + 1].text == text;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0, nodes_ = 0;  // nodes: since the last end of a block or an expression
};

}  // namespace lora::jinja
