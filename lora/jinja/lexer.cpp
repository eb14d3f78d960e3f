#include "lora/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "lora/jinja/characters.h"
#include "lora/jinja/error.h"

namespace lora::jinja {
namespace {

using TokenKind = Token::Kind;

constexpr std::string_view kSpaces = " \t\n\r\v\f";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_data();
    add(TokenKind::kEnd, "", at_);
    return std::move(tokens_);
  }

 private:
  // Reads the text up to the next tag, and the tag.
  void read_data() {
    const size_t begin = at_;
    size_t tag = source_.find('{', at_);
    while (tag != source_.npos &&
           (tag + 1 == source_.size() || std::string_view("{%#").find(source_[tag + 1]) == std::string_view::npos)) {
      tag = source_.find('{', tag + 1);
    }
    if (tag == source_.npos) {
      add_data(begin, source_.size());
      at_ = source_.size();
      return;
    }
    const char type = source_[tag + 1];
    at_ = tag + 2;
    const char sign = at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+') ? source_[at_] : '\0';
    if (sign) ++at_;
    add_data(begin, data_end(begin, tag, sign, type));
    if (type == '#') {
      skip_comment(tag);
    } else if (type == '{') {
      add(TokenKind::kPrint, "", tag);
      read_tag(tag, "}}", TokenKind::kPrintEnd);
    } else if (!read_raw(tag)) {
      add(TokenKind::kBlock, "", tag);
      read_tag(tag, "%}", TokenKind::kBlockEnd);
    }
  }

  // The end of the text before a tag. "-" removes all white space before the tag. A block or comment that is the first
  // thing on its line removes the line's indentation.
  size_t data_end(size_t begin, size_t tag, char sign, char type) const {
    if (sign == '-') {
      const size_t last = tag == 0 ? source_.npos : source_.find_last_not_of(kSpaces, tag - 1);
      return last == source_.npos || last < begin ? begin : last + 1;
    }
    if (sign == '+' || type == '{') return tag;
    size_t line = tag;
    while (line > begin && source_[line - 1] != '\n') --line;
    if (line == begin && !at_line_start_) return tag;
    const size_t first = source_.find_first_not_of(kSpaces, line);
    return first == tag ? line : tag;
  }

  void skip_comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == source_.npos) fail(tag, "a comment does not end; expected #}");
    const char sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+') ? source_[end - 1] : '\0';
    at_ = end + 2;
    after_tag(sign, true);
  }

  // {% raw %}…{% endraw %}
  bool read_raw(size_t tag) {
    size_t at = source_.find_first_not_of(kSpaces, at_);
    if (at == source_.npos || !source_.substr(at).starts_with("raw")) return false;
    at = source_.find_first_not_of(kSpaces, at + 3);
    if (at == source_.npos) return false;
    char sign = '\0';
    if (source_[at] == '-' || source_[at] == '+') sign = source_[at++];
    if (!source_.substr(at).starts_with("%}")) return false;
    at_ = at + 2;
    after_tag(sign, true);
    const size_t begin = at_;
    for (size_t open = source_.find("{%", at_); open != source_.npos; open = source_.find("{%", open + 2)) {
      size_t inside = open + 2;
      char before = '\0';
      if (inside < source_.size() && (source_[inside] == '-' || source_[inside] == '+')) before = source_[inside++];
      inside = source_.find_first_not_of(kSpaces, inside);
      if (inside == source_.npos || !source_.substr(inside).starts_with("endraw")) continue;
      inside = source_.find_first_not_of(kSpaces, inside + 6);
      if (inside == source_.npos) break;
      char after = '\0';
      if (source_[inside] == '-' || source_[inside] == '+') after = source_[inside++];
      if (!source_.substr(inside).starts_with("%}")) continue;
      add_data(begin, data_end(begin, open, before, '%'));
      at_ = inside + 2;
      after_tag(after, true);
      return true;
    }
    fail(tag, "a raw block does not end; expected {% endraw %}");
  }

  // Skips the white space that the end of a tag removes, and records whether the next text begins a line.
  void after_tag(char sign, bool trims_line) {
    const size_t end = at_;
    if (sign == '-') {
      at_ = std::min(source_.find_first_not_of(kSpaces, at_), source_.size());
    } else if (trims_line && sign != '+' && at_ < source_.size() && source_[at_] == '\n') {
      ++at_;
    }
    at_line_start_ = at_ > end && source_[at_ - 1] == '\n';
  }

  void read_tag(size_t tag, std::string_view closing, TokenKind end) {
    std::string open;  // open brackets; the tag cannot end inside them
    for (;;) {
      at_ = std::min(source_.find_first_not_of(kSpaces, at_), source_.size());
      if (at_ == source_.size()) fail(tag, "a tag does not end; expected " + std::string(closing));
      const std::string_view rest = source_.substr(at_);
      const bool signed_end =
          (rest[0] == '-' || (rest[0] == '+' && closing == "%}")) && rest.substr(1).starts_with(closing);
      if (open.empty() && (signed_end || rest.starts_with(closing))) {
        add(end, "", at_);
        const char sign = signed_end ? rest[0] : '\0';
        at_ += signed_end ? 3 : 2;
        after_tag(sign, closing == "%}");
        return;
      }
      read_token(rest, open);
    }
  }

  void read_token(std::string_view rest, std::string& open) {
    const char c = rest[0];
    if (begins_name(c)) {
      size_t length = 1;
      while (length < rest.size() && (begins_name(rest[length]) || is_digit(rest[length]))) ++length;
      take(TokenKind::kName, length);
    } else if (is_digit(c)) {
      read_number(rest);
    } else if (c == '\'' || c == '"') {
      read_string(rest);
    } else {
      static constexpr std::array<std::string_view, 8> two = {"//", "**", "==", "!=", "<=", ">=", "||", "&&"};
      const bool twice = std::ranges::count(two, rest.substr(0, 2)) > 0;
      if (!twice && std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
        fail(at_, "unexpected '" + std::string(rest.substr(0, character_length(rest, 0))) + "'");
      }
      if (c == '(' || c == '[' || c == '{') open.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
      if (c == ')' || c == ']' || c == '}') {
        if (open.empty() || open.back() != c) fail(at_, std::string("unexpected '") + c + "'");
        open.pop_back();
      }
      take(TokenKind::kOperator, twice ? 2 : 1);
    }
  }

  void read_number(std::string_view rest) {
    size_t length = 0;
    bool fraction = false;
    const auto digits = [&] {
      while (length < rest.size() && (is_digit(rest[length]) || rest[length] == '_')) ++length;
    };
    digits();
    if (length + 1 < rest.size() && rest[length] == '.' && is_digit(rest[length + 1])) {
      fraction = true;
      ++length;
      digits();
    }
    if (length < rest.size() && (rest[length] == 'e' || rest[length] == 'E')) {
      size_t exponent = length + 1;
      if (exponent < rest.size() && (rest[exponent] == '+' || rest[exponent] == '-')) ++exponent;
      if (exponent < rest.size() && is_digit(rest[exponent])) {
        fraction = true;
        length = exponent;
        digits();
      }
    }
    take(fraction ? TokenKind::kFloat : TokenKind::kInteger, length);
    std::erase(tokens_.back().text, '_');
  }

  void read_string(std::string_view rest) {
    std::string value;
    size_t i = 1;
    for (; i < rest.size() && rest[i] != rest[0]; ++i) {
      if (rest[i] == '\\' && i + 1 < rest.size()) {
        i += append_escaped(value, rest.substr(i + 1));
      } else {
        value += rest[i];
      }
    }
    if (i >= rest.size()) fail(at_, "a string does not end");
    add(TokenKind::kString, value, at_);
    at_ += i + 1;
  }

  // Appends the character that an escape sequence stands for. `rest` begins after the backslash. Returns the bytes
  // read.
  size_t append_escaped(std::string& value, std::string_view rest) const {
    static constexpr std::string_view kNames = "abfnrtv\\'\"", kValues = "\a\b\f\n\r\t\v\\'\"";
    if (const size_t known = kNames.find(rest[0]); known != kNames.npos) {
      value += kValues[known];
      return 1;
    }
    if (rest[0] == '\n') return 1;
    const auto number = [&](size_t begin, size_t most, unsigned base) -> std::pair<uint32_t, size_t> {
      uint32_t code = 0;
      size_t i = begin;
      for (; i < rest.size() && i < begin + most; ++i) {
        const char c = rest[i];
        const unsigned digit = is_digit(c)            ? static_cast<unsigned>(c - '0')
                               : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10
                               : c >= 'A' && c <= 'F' ? static_cast<unsigned>(c - 'A') + 10
                                                      : 99;
        if (digit >= base) break;
        code = code * base + digit;
      }
      return {code, i - begin};
    };
    if (rest[0] >= '0' && rest[0] <= '7') {
      const auto [code, length] = number(0, 3, 8);
      append_utf8(value, code);
      return length;
    }
    const size_t expected = rest[0] == 'x' ? 2 : rest[0] == 'u' ? 4 : rest[0] == 'U' ? 8 : 0;
    if (expected == 0) {
      value += '\\';
      value += rest[0];
      return 1;
    }
    const auto [code, length] = number(1, expected, 16);
    if (length != expected || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      fail(at_, std::string("a string has a broken \\") + rest[0] + " in it");
    }
    append_utf8(value, code);
    return 1 + length;
  }

  void take(TokenKind kind, size_t length) {
    add(kind, std::string(source_.substr(at_, length)), at_);
    at_ += length;
  }
  void add_data(size_t begin, size_t end) {
    if (end > begin) add(TokenKind::kData, std::string(source_.substr(begin, end - begin)), begin);
  }
  void add(TokenKind kind, std::string text, size_t offset) {
    tokens_.push_back({kind, std::move(text), line(offset), offset});
  }

  // The line of an offset. Offsets must not decrease from call to call.
  size_t line(size_t offset) {
    for (; counted_ < offset; ++counted_) lines_ += source_[counted_] == '\n';
    return lines_;
  }

  [[noreturn]] void fail(size_t offset, const std::string& message) const {
    const auto lines = std::ranges::count(source_.substr(0, offset), '\n');
    throw TemplateError("line " + std::to_string(lines + 1) + ": " + message);
  }

  const std::string_view source_;
  size_t at_ = 0, counted_ = 0, lines_ = 1;
  bool at_line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace lora::jinja
