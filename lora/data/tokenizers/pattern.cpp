#define PCRE2_CODE_UNIT_WIDTH 8
#include "lora/data/tokenizers/pattern.h"

#include <pcre2.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <initializer_list>

#include "lora/data/tokenizers/newer_characters.h"
#include "models/base/error.h"
#include "models/base/pcre2_errors.h"

namespace lora {
namespace {

// A megabyte of spaces stays far below the limits. A pattern that backtracks endlessly reaches them in about a second.
constexpr uint32_t kMatchLimit = 50'000'000, kDepthLimit = 10'000'000;
// The processor time that one search may take.
constexpr double kMostSeconds = 1;
constexpr size_t kStackStart = 32 << 10, kStackLimit = 8 << 20;

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// pcre2_match within a bound of time. PCRE2's limits count anew from every place where a match may begin, so a pattern
// that stays below them on each of a thousand places could take hours. The search goes through such places in windows,
// and gives up between two of them. The code must have PCRE2_USE_OFFSET_LIMIT.
int search(const pcre2_code* code, std::string_view text, size_t at, pcre2_match_data* data,
           pcre2_match_context* context) {
  const auto* bytes = reinterpret_cast<PCRE2_SPTR>(text.data());
  double start = 0;
  for (size_t window = 4;;) {
    const size_t last = text.size() - at > window ? at + window : PCRE2_UNSET;  // a match begins there at the latest
    pcre2_set_offset_limit(context, last);
    const int result = pcre2_match(code, bytes, text.size(), at, PCRE2_NO_UTF_CHECK, data, context);
    if (result != PCRE2_ERROR_NOMATCH || last == PCRE2_UNSET) return result;
    const double now = thread_seconds();
    if (start == 0) start = now;
    if (now - start > kMostSeconds) return PCRE2_ERROR_MATCHLIMIT;
    if (now - start < 0.01) window *= 2;
    at = last + 1;
    while (at < text.size() && (text[at] & 0xC0) == 0x80) ++at;  // to a character's first byte
  }
}

// Oniguruma's \s is the property White_Space. PCRE2's \s also contains U+180E.
constexpr std::string_view kSpaces =
    "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}";

// Oniguruma's \w, without the characters that PCRE2 does not know. It takes the superscripts and fractions of Latin-1.
constexpr std::string_view kWord =
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}"
    "\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}";

// The newer characters of these categories ("L" has "Lu", …), as ranges of a class.
std::string newer_ranges(std::initializer_list<std::string_view> categories) {
  std::string ranges;
  char32_t first = 0, last = 0;
  const auto flush = [&] {
    char text[40];
    if (first > 0 && std::snprintf(text, sizeof text, "\\x{%X}-\\x{%X}", unsigned{first}, unsigned{last}) > 0) {
      ranges += text;
    }
  };
  for (const NewerCharacters& newer : newer_characters()) {
    if (std::ranges::none_of(categories, [&](std::string_view c) { return newer.category.starts_with(c); })) continue;
    if (first == 0 || newer.first != last + 1) {
      flush();
      first = newer.first;
    }
    last = newer.last;
  }
  flush();
  return ranges;
}

// Rewrites Oniguruma's syntax (its "Ruby" one) in PCRE2's. Refuses differences that it cannot rewrite.
class Rewriter {
 public:
  Rewriter(const std::string& pattern, const JsonView& place) : pattern_(pattern), place_(place) {}

  std::string run() {
    for (size_t i = 0; i < pattern_.size(); ++i) {
      const char c = pattern_[i];
      if (c == '\\') {
        escape(++i);
      } else if (classes_ > 0 && c == '[') {
        if (pattern_.compare(i, 2, "[:") != 0) refuse("a class inside a class");
        const size_t end = pattern_.find(":]", i);
        if (end == std::string::npos) refuse("'[:' without ':]'");
        out_.append(pattern_, i, end + 2 - i);
        i = end + 1;
      } else if (classes_ > 0 && pattern_.compare(i, 2, "&&") == 0) {
        refuse("'&&' in a class");
      } else {
        if (c == '[') open_class(i);
        if (c == ']') classes_ = 0;
        if (classes_ == 0 && c == '+' && pattern_[i > 0 ? i - 1 : 0] == '}' && interval_) refuse("'+' after '{n,m}'");
        if (classes_ == 0 && pattern_.compare(i, 2, "(?") == 0) group(i);
        if (classes_ == 0 && pattern_.compare(i, 2, "(*") == 0) refuse("'(*'");  // a verb, of PCRE2 alone
        interval_ = c == '}' && opened_;
        if (c == '{') opened_ = true;
        if (c == '}') opened_ = false;
        out_.push_back(c);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    place_.fail("the regular expression '" + pattern_ + "' has " + what + ", which is not supported");
  }

  // A ']' directly after '[' or '[^' is a literal.
  void open_class(size_t& i) {
    classes_ = 1;
    size_t next = i + 1;
    if (next < pattern_.size() && pattern_[next] == '^') ++next;
    if (next < pattern_.size() && pattern_[next] == ']') refuse("an empty class");
  }

  // In Oniguruma, "(?m" makes '.' match line ends; PCRE2 does not know the other options.
  void group(size_t i) const {
    const size_t end = pattern_.find_first_not_of("imxWDSPya-", i + 2);
    if (end == std::string::npos || end == i + 2 || (pattern_[end] != ':' && pattern_[end] != ')')) return;
    if (pattern_.find_first_not_of("i-", i + 2) != end) refuse("'" + pattern_.substr(i, end + 1 - i) + "'");
  }

  void escape(size_t& i) {
    if (i == pattern_.size()) refuse("a '\\' at its end");
    opened_ = interval_ = false;
    const char c = pattern_[i];
    switch (c) {
      case 's':
        out_.append(classes_ > 0 ? std::string(kSpaces) : "[" + std::string(kSpaces) + "]");
        return;
      case 'S':
        if (classes_ > 0) refuse("'\\S' in a class");
        out_.append("[^" + std::string(kSpaces) + "]");
        return;
      case 'd':
        put_class("\\p{Nd}" + newer_ranges({"Nd"}), false);
        return;
      case 'w':
      case 'W':
        if (classes_ > 0 && c == 'W') refuse("'\\W' in a class");
        put_class(std::string(kWord) + newer_ranges({"L", "M", "Nd", "Nl", "Pc"}), c == 'W');
        return;
      case 'u':
        if (pattern_.size() - i < 5) refuse("'\\u' without four digits");
        out_.append("\\x{").append(pattern_, i + 1, 4).append("}");
        i += 4;
        return;
      case 'p':
      case 'P':
        property(i);
        return;
      case 'h':
      case 'H':
      case 'G':
      case 'K':
      case 'R':
      case 'X':
      case 'O':
      case 'N':
      case 'y':
      case 'Y':
      case 'g':
      case 'k':
      case 'M':
      case 'C':
      case 'c':
        refuse(std::string("'\\") + c + "'");
      default:
        out_.append({'\\', c});
    }
  }

  // \p{L}, \P{L} or \p{^L}. In a class, a negated one also matches newer characters of its own category.
  void property(size_t& i) {
    const size_t end = pattern_.find('}', i);
    if (i + 1 >= pattern_.size() || pattern_[i + 1] != '{' || end == std::string::npos) {
      refuse(std::string("'\\") + pattern_[i] + "' without '{' and '}'");
    }
    const bool turned = pattern_[i + 2] == '^', negated = (pattern_[i] == 'P') != turned;
    const std::string name = pattern_.substr(i + 2 + turned, end - i - 2 - turned);
    i = end;
    const std::string newer = name.size() <= 2 ? newer_ranges({name}) : "";
    if (newer.empty() || (negated && classes_ > 0)) {
      out_.append(negated ? "\\P{" : "\\p{").append(name).append("}");
    } else {
      put_class("\\p{" + name + "}" + newer, negated);
    }
  }

  // In a class, its members; outside, a class of its own.
  void put_class(const std::string& members, bool negated) {
    if (classes_ == 0) out_.append(negated ? "[^" : "[");
    out_.append(members);
    if (classes_ == 0) out_.append("]");
  }

  const std::string& pattern_;
  const JsonView& place_;
  std::string out_;
  int classes_ = 0;
  bool opened_ = false, interval_ = false;  // inside "{n,m"; directly after its '}'
};

}  // namespace

struct PatternScratch::State {
  pcre2_match_data* data = pcre2_made(pcre2_match_data_create(1, nullptr));
  pcre2_match_context* context = pcre2_made(pcre2_match_context_create(nullptr));
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kStackStart, kStackLimit, nullptr);

  State() {
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_depth_limit(context, kDepthLimit);
    if (stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~State() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

PatternScratch::PatternScratch() : state_(std::make_unique<State>()) {}
PatternScratch::~PatternScratch() = default;

Pattern Pattern::literal(std::string text) {
  Pattern pattern;
  pattern.text_ = std::move(text);
  return pattern;
}

Pattern Pattern::regex(const std::string& source, const JsonView& place) {
  const std::string rewritten = Rewriter(source, place).run();
  int error = 0;
  PCRE2_SIZE offset = 0;
  // In Oniguruma, '^' and '$' match at every line.
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rewritten.data()), rewritten.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT, &error,
                    &offset, nullptr);
  if (!code) place.fail("the regular expression '" + source + "': " + pcre2_error_text(error));
  Pattern pattern;
  pattern.text_ = place.place() + ": the regular expression '" + source + "'";
  pattern.code_ = std::shared_ptr<void>(code, [](void* c) { pcre2_code_free(static_cast<pcre2_code*>(c)); });
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // if it fails, matching is slower but the same
  return pattern;
}

Pattern Pattern::read(const JsonView& object) {
  if (const auto text = object.find("String")) {
    if (text->string().empty()) text->fail("found an empty text, expected what to look for");
    return literal(text->string());
  }
  if (const auto source = object.find("Regex")) return regex(source->string(), *source);
  object.fail("found neither 'String' nor 'Regex'");
}

std::optional<TextRange> Pattern::next(std::string_view text, size_t at, PatternScratch& scratch) const {
  if (!code_) {
    const size_t begin = text.find(text_, at);
    if (begin == text.npos) return std::nullopt;
    return TextRange{begin, begin + text_.size()};
  }
  auto& state = *scratch.state_;
  const int result = search(static_cast<pcre2_code*>(code_.get()), text, at, state.data, state.context);
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0) {
    throw ModelError(text_ + " on a text of " + std::to_string(text.size()) + " bytes: " + pcre2_error_text(result));
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(state.data);
  return TextRange{range[0], range[1]};
}

}  // namespace lora
