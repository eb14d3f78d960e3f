#include <algorithm>
#include <array>
#include <charconv>

#include "lora/jinja/error.h"
#include "lora/jinja/lexer.h"
#include "lora/jinja/syntax.h"

namespace lora::jinja {
namespace {

using Kind = Node::Kind;
using TokenKind = Token::Kind;

constexpr int kDeepest = 150;

class Parser {
 public:
  explicit Parser(const std::string& source) : tokens_(tokenize(source)) {}

  std::vector<NodePtr> run() {
    std::vector<NodePtr> nodes = statements({});
    if (!is(TokenKind::kEnd)) fail("unexpected {% " + token().text + " %}");
    return nodes;
  }

 private:
  using Names = std::vector<std::string_view>;

  // Up to a block that begins with one of `ends`, whose name is the next token then; or to the end.
  std::vector<NodePtr> statements(const Names& ends) {
    const Deeper deeper(*this);
    std::vector<NodePtr> nodes;
    for (;;) {
      if (is(TokenKind::kEnd)) {
        if (!ends.empty()) fail("the template ends; wanted {% " + std::string(ends.back()) + " %}");
        return nodes;
      }
      if (is(TokenKind::kData)) {
        auto data = make(Kind::kOutput);
        data->children.push_back(literal(next()));
        nodes.push_back(std::move(data));
      } else if (accept(TokenKind::kPrint)) {
        auto output = make(Kind::kOutput);
        output->children.push_back(tuple());
        nodes.push_back(std::move(output));
        expect(TokenKind::kPrintEnd, "}}");
      } else {
        expect(TokenKind::kBlock, "a tag");
        if (is(TokenKind::kName) && std::ranges::count(ends, token().text) > 0) return nodes;
        if (!in_loop_ && (is_name("break") || is_name("continue")))
          fail("{% " + token().text + " %} outside of a loop");
        nodes.push_back(statement());
        expect(TokenKind::kBlockEnd, "%}");
      }
    }
  }

  NodePtr statement() {
    const std::string name = is(TokenKind::kName) ? token().text : "";
    static constexpr std::array kKnown = {"if",     "for",        "set",   "macro",   "call",
                                          "filter", "generation", "break", "continue"};
    if (std::ranges::count(kKnown, name) == 0) {
      if (name == "endfor" || name == "endif" || name == "else" || name == "elif")
        fail("{% " + name + " %} without its begin");
      fail("{% " + name + " %} is not supported");
    }
    next();
    if (name == "if") return if_block();
    if (name == "for") return for_block();
    if (name == "set") return set_block();
    if (name == "macro") return macro();
    if (name == "call") return call_block();
    if (name == "filter") {
      auto node = make(Kind::kFilterBlock);
      node->children.push_back(filters(nullptr, true));
      block_body(*node, "endfilter");
      return node;
    }
    if (name == "generation") {
      auto node = make(Kind::kGeneration);
      block_body(*node, "endgeneration");
      return node;
    }
    return make(name == "break" ? Kind::kBreak : Kind::kContinue);
  }

  void block_body(Node& node, std::string_view end) {
    expect(TokenKind::kBlockEnd, "%}");
    node.body = statements({end});
    next();
  }

  NodePtr if_block() {
    auto node = make(Kind::kIf);
    node->children.push_back(tuple());
    expect(TokenKind::kBlockEnd, "%}");
    node->body = statements({"elif", "else", "endif"});
    const std::string end = next().text;
    if (end == "elif") {
      const Deeper deeper(*this);
      node->otherwise.push_back(if_block());
    } else if (end == "else") {
      expect(TokenKind::kBlockEnd, "%}");
      node->otherwise = statements({"endif"});
      next();
    }
    return node;
  }

  NodePtr for_block() {
    auto node = make(Kind::kFor);
    node->children.push_back(target());
    expect_name("in");
    node->children.push_back(tuple(/*conditional=*/false));
    node->children.push_back(accept_name("if") ? expression() : nullptr);
    if (is_name("recursive")) fail("a recursive loop is not supported");
    expect(TokenKind::kBlockEnd, "%}");
    const bool outside = std::exchange(in_loop_, true);
    node->body = statements({"else", "endfor"});
    in_loop_ = outside;
    if (next().text == "else") {
      expect(TokenKind::kBlockEnd, "%}");
      node->otherwise = statements({"endfor"});
      next();
    }
    return node;
  }

  NodePtr set_block() {
    const size_t line = token().line;
    NodePtr variable = target(/*namespaces=*/true);
    if (accept("=")) {
      auto node = make(Kind::kSet, line);
      node->children.push_back(std::move(variable));
      node->children.push_back(tuple());
      return node;
    }
    auto node = make(Kind::kSetBlock, line);
    node->children.push_back(std::move(variable));
    node->children.push_back(is("|") ? filters(nullptr, false) : nullptr);
    block_body(*node, "endset");
    return node;
  }

  void parameters(Node& node) {
    expect("(");
    while (!accept(")")) {
      if (!node.names.empty()) {
        expect(",");
        if (accept(")")) return;
      }
      node.names.push_back(expect(TokenKind::kName, "a parameter").text);
      node.children.push_back(accept("=") ? expression() : nullptr);
    }
  }

  NodePtr macro() {
    auto node = make(Kind::kMacro);
    node->name = expect(TokenKind::kName, "a macro's name").text;
    parameters(*node);
    const bool outside = std::exchange(in_loop_, false);
    block_body(*node, "endmacro");
    in_loop_ = outside;
    return node;
  }

  NodePtr call_block() {
    auto node = make(Kind::kCallBlock);
    node->children.push_back(nullptr);
    if (is("(")) parameters(*node);
    NodePtr call = expression();
    if (call->kind != Kind::kCall) fail("{% call %} wants a call of a macro");
    node->children.front() = std::move(call);
    const bool outside = std::exchange(in_loop_, false);
    block_body(*node, "endcall");
    in_loop_ = outside;
    return node;
  }

  // name, name.attribute, or several in a tuple.
  NodePtr target(bool namespaces = false) {
    std::vector<NodePtr> names;
    const size_t line = token().line;
    bool several = false;
    const bool bracket = accept("(");
    do {
      if (several && !is(TokenKind::kName)) break;
      auto node = make(Kind::kName);
      node->name = expect(TokenKind::kName, "a variable").text;
      if (namespaces && accept(".")) {
        auto attribute = make(Kind::kAttribute);
        attribute->name = expect(TokenKind::kName, "an attribute").text;
        attribute->children.push_back(std::move(node));
        node = std::move(attribute);
      }
      names.push_back(std::move(node));
      several = is(",");
    } while (accept(","));
    if (bracket) expect(")");
    if (names.size() == 1 && !several) return std::move(names.front());
    auto node = make(Kind::kTuple, line);
    node->children = std::move(names);
    return node;
  }

  // An expression, or several with commas between them.
  NodePtr tuple(bool conditional = true) {
    const size_t line = token().line;
    NodePtr first = conditional ? expression() : disjunction();
    if (!is(",")) return first;
    auto node = make(Kind::kTuple, line);
    node->children.push_back(std::move(first));
    while (accept(",")) {
      if (is(TokenKind::kPrintEnd) || is(TokenKind::kBlockEnd) || is(")")) break;
      node->children.push_back(conditional ? expression() : disjunction());
    }
    return node;
  }

  NodePtr expression() {
    const Deeper deeper(*this);
    NodePtr value = disjunction();
    while (accept_name("if")) {
      auto node = make(Kind::kCondition);
      node->children.push_back(disjunction());
      node->children.push_back(std::move(value));
      node->children.push_back(accept_name("else") ? expression() : nullptr);
      value = std::move(node);
    }
    return value;
  }

  NodePtr disjunction() {
    NodePtr left = conjunction();
    while (accept_name("or")) left = pair(Kind::kOr, "or", std::move(left), conjunction());
    return left;
  }
  NodePtr conjunction() {
    NodePtr left = negation();
    while (accept_name("and")) left = pair(Kind::kAnd, "and", std::move(left), negation());
    return left;
  }
  NodePtr negation() {
    if (!accept_name("not")) return comparison();
    const Deeper deeper(*this);
    auto node = make(Kind::kNot);
    node->children.push_back(negation());
    return node;
  }

  NodePtr comparison() {
    NodePtr first = sum();
    std::unique_ptr<Node> node;
    for (;;) {
      std::string name;
      static constexpr std::array kOperators = {"==", "!=", "<", "<=", ">", ">="};
      if (is(TokenKind::kOperator) && std::ranges::count(kOperators, token().text) > 0) {
        name = next().text;
      } else if (accept_name("in")) {
        name = "in";
      } else if (is_name("not") && peek_is_name("in")) {
        next();
        next();
        name = "not in";
      } else {
        return node ? std::move(node) : std::move(first);
      }
      if (!node) {
        node = make(Kind::kCompare);
        node->children.push_back(std::move(first));
      }
      node->names.push_back(name);
      node->children.push_back(sum());
    }
  }

  NodePtr sum() {
    return chain({"+", "-"}, [this] { return concatenation(); });
  }
  NodePtr concatenation() {
    return chain({"~"}, [this] { return product(); });
  }
  NodePtr product() {
    return chain({"*", "/", "//", "%"}, [this] { return power(); });
  }
  NodePtr power() {
    return chain({"**"}, [this] { return unary(true); });
  }

  template <typename Operand>
  NodePtr chain(const Names& operators, const Operand& operand) {
    NodePtr left = operand();
    while (is(TokenKind::kOperator) && std::ranges::count(operators, token().text) > 0) {
      const std::string name = next().text;
      left = pair(Kind::kBinary, name, std::move(left), operand());
    }
    return left;
  }

  NodePtr unary(bool with_filters) {
    const Deeper deeper(*this);
    NodePtr node;
    if (is("-") || is("+")) {
      node = make(next().text == "-" ? Kind::kNegative : Kind::kPositive);
      node->children.push_back(unary(false));
    } else {
      node = postfix(primary());
    }
    return with_filters ? filters_and_tests(std::move(node)) : std::move(node);
  }

  NodePtr primary() {
    const Token at = token();
    if (at.kind == TokenKind::kName) {
      next();
      if (at.text == "true" || at.text == "True") return constant(Value(true), at);
      if (at.text == "false" || at.text == "False") return constant(Value(false), at);
      if (at.text == "none" || at.text == "None") return constant(None{}, at);
      auto node = make(Kind::kName, at.line);
      node->name = at.text;
      return node;
    }
    if (at.kind == TokenKind::kString) {
      Token all = next();
      while (is(TokenKind::kString)) all.text += next().text;
      return literal(all);
    }
    if (at.kind == TokenKind::kInteger || at.kind == TokenKind::kFloat) return number(next());
    if (accept("(")) return bracketed();
    if (accept("[")) return items(Kind::kList, "]");
    if (accept("{")) return dictionary();
    fail("unexpected " + shown());
  }

  NodePtr bracketed() {
    if (accept(")")) return make(Kind::kTuple);
    NodePtr node = tuple();
    expect(")");
    return node;
  }

  NodePtr items(Kind kind, const char* end) {
    auto node = make(kind);
    while (!accept(end)) {
      if (!node->children.empty()) {
        expect(",");
        if (accept(end)) break;
      }
      node->children.push_back(expression());
    }
    return node;
  }

  NodePtr dictionary() {
    auto node = make(Kind::kDict);
    while (!accept("}")) {
      if (!node->children.empty()) {
        expect(",");
        if (accept("}")) break;
      }
      node->children.push_back(expression());
      expect(":");
      node->children.push_back(expression());
    }
    return node;
  }

  NodePtr postfix(NodePtr node) {
    for (;;) {
      if (accept(".")) {
        auto outer = make(is(TokenKind::kInteger) ? Kind::kSubscript : Kind::kAttribute);
        outer->children.push_back(std::move(node));
        if (is(TokenKind::kInteger)) {
          outer->children.push_back(number(next()));
        } else {
          outer->name = expect(TokenKind::kName, "an attribute").text;
        }
        node = std::move(outer);
      } else if (accept("[")) {
        node = subscript(std::move(node));
      } else if (is("(")) {
        auto outer = make(Kind::kCall);
        outer->children.push_back(std::move(node));
        arguments(*outer);
        node = std::move(outer);
      } else {
        return node;
      }
    }
  }

  NodePtr subscript(NodePtr object) {
    auto node = make(Kind::kSubscript);
    node->children.push_back(std::move(object));
    node->children.push_back(is(":") ? nullptr : tuple());
    if (accept("]")) return node;
    node->kind = Kind::kSlice;
    node->children.resize(4);
    for (size_t i = 2; i < 4 && accept(":"); ++i) {
      if (!is(":") && !is("]")) node->children[i] = expression();
    }
    expect("]");
    return node;
  }

  void arguments(Node& node) {
    expect("(");
    for (bool first = true; !accept(")"); first = false) {
      if (!first) {
        expect(",");
        if (accept(")")) return;
      }
      if (is("*") || is("**")) fail("arguments from a list or dict are not supported");
      if (is(TokenKind::kName) && peek_is("=")) {
        const std::string name = next().text;
        next();
        node.named.emplace_back(name, expression());
      } else {
        if (!node.named.empty()) fail("an argument by position behind one by name");
        node.arguments.push_back(expression());
      }
    }
  }

  NodePtr filters_and_tests(NodePtr node) {
    for (;;) {
      if (is("|")) {
        node = filters(std::move(node), false);
      } else if (accept_name("is")) {
        node = test(std::move(node));
      } else if (is("(")) {
        auto outer = make(Kind::kCall);
        outer->children.push_back(std::move(node));
        arguments(*outer);
        node = postfix(std::move(outer));
      } else {
        return node;
      }
    }
  }

  // One or several; the first has no bar in front where `begun`.
  NodePtr filters(NodePtr input, bool begun) {
    while (begun || accept("|")) {
      begun = false;
      auto node = make(Kind::kFilter);
      node->name = expect(TokenKind::kName, "a filter").text;
      node->children.push_back(std::move(input));
      if (is("(")) arguments(*node);
      input = std::move(node);
    }
    return input;
  }

  NodePtr test(NodePtr input) {
    const bool negated = accept_name("not");
    auto node = make(Kind::kTest);
    node->name = is("==") || is("!=") || is("<") || is("<=") || is(">") || is(">=")
                     ? next().text
                     : expect(TokenKind::kName, "a test").text;
    node->children.push_back(std::move(input));
    static constexpr std::array kStops = {"else", "or", "and", "if", "is", "in", "not"};
    const bool value = is(TokenKind::kString) || is(TokenKind::kInteger) || is(TokenKind::kFloat) || is("[") ||
                       is("{") || (is(TokenKind::kName) && std::ranges::count(kStops, token().text) == 0);
    if (is("(")) {
      arguments(*node);
    } else if (value) {
      node->arguments.push_back(postfix(primary()));
    }
    if (!negated) return node;
    auto outer = make(Kind::kNot);
    outer->children.push_back(std::move(node));
    return outer;
  }

  NodePtr pair(Kind kind, const std::string& name, NodePtr left, NodePtr right) {
    auto node = make(kind);
    node->name = name;
    node->children.push_back(std::move(left));
    node->children.push_back(std::move(right));
    return node;
  }

  NodePtr constant(Value value, const Token& at) {
    auto node = make(Kind::kConstant, at.line);
    node->value = std::move(value);
    return node;
  }

  // Its origin is its place, so that no two are alike.
  NodePtr literal(const Token& at) {
    return constant(text(at.text, kFirstLiteral - static_cast<Origin>(at.offset)), at);
  }

  NodePtr number(const Token& at) {
    const char *begin = at.text.data(), *end = begin + at.text.size();
    int64_t integer = 0;
    double real = 0;
    if (at.kind == TokenKind::kFloat) {
      std::from_chars(begin, end, real);
      return constant(Value(real), at);
    }
    if (std::from_chars(begin, end, integer).ec != std::errc()) fail("the number " + at.text + " is too large");
    return constant(Value(integer), at);
  }

  struct Deeper {
    explicit Deeper(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > kDeepest) parser_.fail("nested more than " + std::to_string(kDeepest) + " deep");
    }
    ~Deeper() { --parser_.depth_; }
    Parser& parser_;
  };

  NodePtr make(Kind kind) const { return make(kind, token().line); }
  static NodePtr make(Kind kind, size_t line) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->line = line;
    return node;
  }

  const Token& token() const { return tokens_[at_]; }
  const Token& next() {
    const Token& current = tokens_[at_];
    if (current.kind != TokenKind::kEnd) ++at_;
    return current;
  }
  bool is(TokenKind kind) const { return token().kind == kind; }
  bool is(std::string_view operator_) const { return is(TokenKind::kOperator) && token().text == operator_; }
  bool is_name(std::string_view name) const { return is(TokenKind::kName) && token().text == name; }
  bool peek_is(std::string_view text) const {
    return tokens_[at_ + 1].kind == TokenKind::kOperator && tokens_[at_ + 1].text == text;
  }
  bool peek_is_name(std::string_view name) const {
    return tokens_[at_ + 1].kind == TokenKind::kName && tokens_[at_ + 1].text == name;
  }
  bool accept(TokenKind kind) { return is(kind) && (next(), true); }
  bool accept(std::string_view operator_) { return is(operator_) && (next(), true); }
  bool accept_name(std::string_view name) { return is_name(name) && (next(), true); }
  const Token& expect(TokenKind kind, const std::string& wanted) {
    if (!is(kind)) fail("unexpected " + shown() + "; wanted " + wanted);
    return next();
  }
  void expect(std::string_view operator_) {
    if (!accept(operator_)) fail("unexpected " + shown() + "; wanted '" + std::string(operator_) + "'");
  }
  void expect_name(std::string_view name) {
    if (!accept_name(name)) fail("unexpected " + shown() + "; wanted '" + std::string(name) + "'");
  }

  std::string shown() const {
    switch (token().kind) {
      case TokenKind::kEnd:
        return "end of the template";
      case TokenKind::kData:
        return "text";
      case TokenKind::kPrint:
        return "'{{'";
      case TokenKind::kPrintEnd:
        return "'}}'";
      case TokenKind::kBlock:
        return "'{%'";
      case TokenKind::kBlockEnd:
        return "'%}'";
      default:
        return "'" + token().text + "'";
    }
  }

  [[noreturn]] void fail(const std::string& message) const {
    throw TemplateError("line " + std::to_string(token().line) + ": " + message);
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  bool in_loop_ = false;
};

// Line ends are \n, and the one at the very end is not the template's.
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

std::vector<NodePtr> parse(const std::string& source) { return Parser(normalised(source)).run(); }

}  // namespace lora::jinja
