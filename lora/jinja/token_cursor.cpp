#include "lora/jinja/token_cursor.h"

#include "lora/jinja/error.h"

namespace lora::jinja {
namespace {

constexpr int kDeepestSyntax = 150, kMostNodes = 5000;

}  // namespace

const Token& TokenCursor::next() {
  const Token& current = tokens_[at_];
  if (current.kind == Token::Kind::kPrintEnd || current.kind == Token::Kind::kBlockEnd) nodes_ = 0;
  if (current.kind != Token::Kind::kEnd) ++at_;
  return current;
}

const Token& TokenCursor::expect(Token::Kind kind, const std::string& expected) {
  if (!is(kind)) fail("unexpected " + shown() + "; expected " + expected);
  return next();
}

void TokenCursor::expect(std::string_view operator_) {
  if (!accept(operator_)) fail("unexpected " + shown() + "; expected '" + std::string(operator_) + "'");
}

void TokenCursor::expect_name(std::string_view name) {
  if (!accept_name(name)) fail("unexpected " + shown() + "; expected '" + std::string(name) + "'");
}

std::string TokenCursor::shown() const {
  switch (token().kind) {
    case Token::Kind::kEnd:
      return "end of the template";
    case Token::Kind::kData:
      return "text";
    case Token::Kind::kPrint:
      return "'{{'";
    case Token::Kind::kPrintEnd:
      return "'}}'";
    case Token::Kind::kBlock:
      return "'{%'";
    case Token::Kind::kBlockEnd:
      return "'%}'";
    default:
      return "'" + token().text + "'";
  }
}

void TokenCursor::fail(const std::string& message) const {
  throw TemplateError("line " + std::to_string(token().line) + ": " + message);
}

std::unique_ptr<Node> TokenCursor::node(Node::Kind kind) {
  if (++nodes_ > kMostNodes) fail("an expression of more than " + std::to_string(kMostNodes) + " parts");
  return node(kind, token().line);
}

std::unique_ptr<Node> TokenCursor::node(Node::Kind kind, size_t line) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  node->line = line;
  return node;
}

TokenCursor::Deeper::Deeper(TokenCursor& in) : in_(in) {
  if (++in_.depth_ > kDeepestSyntax) in_.fail("nested more than " + std::to_string(kDeepestSyntax) + " deep");
}

}  // namespace lora::jinja
