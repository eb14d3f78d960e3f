#include "lora/data/cleaning/pii.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

namespace lora {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alnum(char c) { return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool one_of(std::string_view set, char c) { return set.find(c) != std::string_view::npos; }
bool is_key(char c) { return is_alnum(c) || c == '_' || c == '-'; }

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  PiiCounts scan() {
    for (size_t at = 0; at < text_.size();) {
      const size_t length = std::max<size_t>(1, find_at(at));
      at += length;
    }
    return counts_;
  }

 private:
  char at(size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
  bool starts_word(size_t i) const { return i == 0 || !is_alnum(text_[i - 1]); }

  // Counts a match at i once, as the first kind that fits. Returns its length, or 0.
  size_t find_at(size_t i) {
    const char c = text_[i];
    size_t length = 0;
    if (c == '@') {
      length = email(i);
      if (length > 0) return count(Pii::kEmail, length);
      return 0;
    }
    if (c == '-' && (length = pem_key(i)) > 0) return count(Pii::kSecretKey, length);
    if (!starts_word(i)) return 0;
    if (is_alnum(c) && (length = prefixed_key(i)) > 0) return count(Pii::kSecretKey, length);
    if (is_upper(c) && (length = iban(i)) > 0) return count(Pii::kIban, length);
    if ((is_hex(c) || c == ':') && (length = ip_address(i)) > 0) return count(Pii::kIpAddress, length);
    if (is_digit(c) && (length = card(i)) > 0) return count(Pii::kCreditCard, length);
    if ((is_digit(c) || c == '+' || c == '(') && (length = phone(i)) > 0) return count(Pii::kPhone, length);
    return 0;
  }

  size_t count(Pii kind, size_t length) {
    ++counts_[static_cast<size_t>(kind)];
    return length;
  }

  template <typename Is>
  size_t run(size_t i, Is is) const {
    size_t end = i;
    while (end < text_.size() && is(text_[end])) ++end;
    return end - i;
  }

  // i is the position of an @: needs a name before it and a domain with a dot and a last part of letters after it.
  size_t email(size_t i) const {
    if (i == 0 || !(is_alnum(text_[i - 1]) || one_of("_%+-", text_[i - 1]))) return 0;
    size_t end = i + 1, dots = 0, label = 0;
    for (size_t part = run(end, [](char c) { return is_alnum(c) || c == '-'; }); part > 0;
         part = run(end, [](char c) { return is_alnum(c) || c == '-'; })) {
      label = part;
      end += part;
      if (at(end) != '.' || !is_alnum(at(end + 1))) break;
      ++dots;
      ++end;
    }
    const std::string_view last = text_.substr(end - label, label);
    const bool letters = label >= 2 && std::none_of(last.begin(), last.end(), is_digit);
    return dots > 0 && letters ? end - i : 0;
  }

  size_t pem_key(size_t i) const {
    constexpr std::string_view kBegin = "-----BEGIN ";
    if (!text_.substr(i).starts_with(kBegin)) return 0;
    const std::string_view header = text_.substr(i + kBegin.size(), 40);
    const size_t key = header.find("PRIVATE KEY-----");
    return key == std::string_view::npos ? 0 : kBegin.size() + key + 16;
  }

  size_t prefixed_key(size_t i) const {
    struct Prefix {
      std::string_view text;
      size_t least;  // minimum number of characters after it
    };
    static constexpr Prefix kPrefixes[] = {{"AKIA", 16},  {"ASIA", 16},  {"ghp_", 30},        {"gho_", 30},
                                           {"ghs_", 30},  {"ghu_", 30},  {"github_pat_", 30}, {"AIza", 35},
                                           {"hf_", 30},   {"sk-", 20},   {"sk_live_", 16},    {"rk_live_", 16},
                                           {"xoxb-", 16}, {"xoxp-", 16}, {"xoxa-", 16},       {"glpat-", 20}};
    const std::string_view rest = text_.substr(i);
    for (const Prefix& prefix : kPrefixes) {
      if (!rest.starts_with(prefix.text)) continue;
      const size_t length = run(i + prefix.text.size(), is_key);
      const std::string_view key = rest.substr(prefix.text.size(), length);
      // A random key contains digits; a long hyphenated word does not.
      if (length >= prefix.least && std::any_of(key.begin(), key.end(), is_digit)) return prefix.text.size() + length;
    }
    if (!rest.starts_with("eyJ")) return 0;
    const size_t head = run(i, is_key);
    if (head < 16 || at(i + head) != '.') return 0;
    const size_t body = run(i + head + 1, is_key);
    if (body < 16 || at(i + head + 1 + body) != '.') return 0;
    return head + body + 2 + run(i + head + body + 2, is_key);
  }

  size_t iban(size_t i) const {
    if (!is_upper(at(i + 1)) || !is_digit(at(i + 2)) || !is_digit(at(i + 3))) return 0;
    std::string characters;
    size_t end = i;
    for (; end < text_.size() && characters.size() < 34; ++end) {
      const char c = text_[end];
      if (is_digit(c) || is_upper(c)) {
        characters += c;
      } else if (c != ' ' || characters.size() % 4 != 0 || !(is_digit(at(end + 1)) || is_upper(at(end + 1)))) {
        break;  // groups of four may be separated
      }
    }
    if (characters.size() < 15 || is_alnum(at(end))) return 0;
    std::rotate(characters.begin(), characters.begin() + 4, characters.end());
    int64_t rest = 0;
    for (const char c : characters) {
      rest = is_digit(c) ? (rest * 10 + (c - '0')) % 97 : (rest * 100 + (c - 'A' + 10)) % 97;
    }
    return rest == 1 ? end - i : 0;
  }

  // The digits from i on, with single separators between them. `end` is the position after the last one.
  std::string digits_from(size_t i, size_t& end, std::string_view separators, size_t most) const {
    std::string digits;
    for (end = i; end < text_.size() && digits.size() <= most; ++end) {
      const char c = text_[end];
      if (is_digit(c)) {
        digits += c;
      } else if (!one_of(separators, c) || !is_digit(at(end + 1))) {
        break;
      }
    }
    return digits;
  }

  size_t card(size_t i) const {
    size_t end = 0;
    const std::string digits = digits_from(i, end, " -", 19);
    const size_t n = digits.size();
    if (n < 13 || n > 19 || is_alnum(at(end))) return 0;
    // The first digits and lengths of the card networks.
    const bool network = (digits[0] == '4' && (n == 13 || n == 16 || n == 19)) || (digits[0] == '6' && n >= 16) ||
                         ((digits[0] == '2' || digits[0] == '5') && n == 16) ||
                         (digits[0] == '3' && n >= 14 && n <= 16);
    if (!network) return 0;
    int sum = 0;
    for (size_t k = 0; k < n; ++k) {
      int digit = digits[n - 1 - k] - '0';
      if (k % 2 == 1) digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
      sum += digit;
    }
    return sum % 10 == 0 ? end - i : 0;
  }

  size_t phone(size_t i) const {
    size_t end = 0;
    if (text_[i] == '+') {
      if (i > 1 && text_[i - 1] == ' ' && is_digit(text_[i - 2])) return 0;  // a sum
      std::string digits;
      for (end = i + 1; end < text_.size(); ++end) {
        const char c = text_[end];
        if (is_digit(c)) {
          digits += c;
        } else if (!one_of(" -.()", c) || !(is_digit(at(end + 1)) || one_of("( ", at(end + 1)))) {
          break;
        }
      }
      return digits.size() >= 8 && digits.size() <= 15 && digits[0] != '0' ? end - i : 0;
    }
    // (ddd) ddd-dddd and ddd-ddd-dddd, also with dots and spaces.
    size_t at_digit = i;
    const bool bracket = text_[i] == '(';
    const auto three = [&](size_t from, size_t n) { return run(from, is_digit) == n; };
    at_digit += bracket;
    if (!three(at_digit, 3)) return 0;
    at_digit += 3;
    if (bracket && at(at_digit++) != ')') return 0;
    const char separator = at(at_digit);
    if (separator == '-' || separator == '.' || separator == ' ') {
      ++at_digit;
    } else if (!bracket) {
      return 0;
    }
    if (!bracket && separator == ' ') return 0;  // three separate numbers
    if (!three(at_digit, 3)) return 0;
    at_digit += 3;
    if (at(at_digit) != '-' && at(at_digit) != '.' && !(bracket && at(at_digit) == ' ')) return 0;
    ++at_digit;
    if (!three(at_digit, 4) || is_alnum(at(at_digit + 4))) return 0;
    return at_digit + 4 - i;
  }

  size_t ip_address(size_t i) const {
    size_t length = run(i, [](char c) { return is_hex(c) || c == '.' || c == ':'; });
    if (is_alnum(at(i + length)) || length < 7) return 0;
    while (length > 0 && (at(i + length - 1) == '.' || at(i + length - 1) == ':')) --length;  // the sentence's
    const std::string address(text_.substr(i, length));
    if (std::count(address.begin(), address.end(), ':') > 0) {
      in6_addr six{};
      const auto groups = std::count(address.begin(), address.end(), ':');
      return groups >= 3 && address.find("::1") != 0 && inet_pton(AF_INET6, address.c_str(), &six) == 1 ? length : 0;
    }
    in_addr four{};
    if (inet_pton(AF_INET, address.c_str(), &four) != 1) return 0;
    const uint32_t value = ntohl(four.s_addr);
    const bool local = value >> 24 == 0 || value >> 24 == 10 || value >> 24 == 127 || value >> 16 == 0xC0A8 ||
                       value >> 20 == 0xAC1 || value >> 24 == 255;
    return local ? 0 : length;
  }

  std::string_view text_;
  PiiCounts counts_{};
};

}  // namespace

const char* pii_name(Pii kind) {
  static constexpr const char* kNames[] = {"e-mail address", "telephone number", "IBAN",
                                           "card number",    "IP address",       "secret key"};
  return kNames[static_cast<size_t>(kind)];
}

PiiCounts count_pii(std::string_view text) { return Scanner(text).scan(); }

}  // namespace lora
