// json.dumps: the same bytes as Python writes.

#include <algorithm>
#include <cmath>

#include "lora/jinja/budget.h"
#include "lora/jinja/characters.h"
#include "lora/jinja/error.h"
#include "lora/jinja/value.h"

namespace lora::jinja {
namespace {

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  void write(const Value& value, Origin origin, size_t depth) {
    Budget::pay_steps(1);
    if (depth > kDeepestValue) {
      throw TemplateError("tojson: a value is nested more than " + std::to_string(kDeepestValue) + " deep");
    }
    if (const Text* text = value.text()) {
      write_string(*text, text->empty() ? origin : text->origin_at(0));
    } else if (const List* list = value.list()) {
      write_all('[', ']', list->items, list->origin, depth,
                [&](const Value& item) { write(item, list->origin, depth + 1); });
    } else if (const Dict* dict = value.dict(); dict && dict->kind == Dict::Kind::kDict) {
      auto entries = dict->all();
      if (style_.sort_keys) std::ranges::stable_sort(entries, less, [](const auto& entry) { return entry.first; });
      write_all('{', '}', entries, dict->origin, depth, [&](const auto& entry) {
        write_key(entry.first, dict->origin);
        out_.append(style_.key_separator, dict->origin);
        write(entry.second, dict->origin, depth + 1);
      });
    } else {
      out_.append(scalar(value), origin);
    }
  }

  Text take() { return std::move(out_); }

 private:
  static std::string scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (value.is<bool>()) return value.truth() ? "true" : "false";
    if (value.is<double>()) {
      const double number = *value.number();
      if (std::isnan(number)) return "NaN";
      if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
      return python_float(number);
    }
    if (const auto integer = value.integer()) return std::to_string(*integer);
    throw TemplateError("tojson: '" + value.type() + "' is not JSON");
  }

  template <typename Items, typename Write>
  void write_all(char open, char close, const Items& items, Origin origin, size_t depth, const Write& write_one) {
    out_.append(std::string(1, open), origin);
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator, origin);
      new_line(depth + 1, origin);
      write_one(items[i]);
    }
    if (!items.empty()) new_line(depth, origin);
    out_.append(std::string(1, close), origin);
  }

  void new_line(size_t depth, Origin origin) {
    if (!style_.indent) return;
    out_.append("\n", origin);
    for (size_t i = 0; i < depth; ++i) out_.append(*style_.indent, origin);
  }

  void write_key(const Value& key, Origin origin) {
    if (key.text()) {
      write_string(*key.text(), origin);
    } else {
      out_.append("\"" + scalar(key) + "\"", origin);
    }
  }

  void write_string(const Text& text, Origin quotes) {
    const std::string& bytes = text.bytes();
    out_.append("\"", quotes);
    for (size_t at = 0; at < bytes.size();) {
      const size_t length = character_length(bytes, at);
      out_.append(escaped(bytes, at, length), text.origin_at(at));
      at += length;
    }
    out_.append("\"", quotes);
  }

  std::string escaped(const std::string& bytes, size_t at, size_t length) const {
    const char c = bytes[at];
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\f':
        return "\\f";
      case '\b':
        return "\\b";
      default:
        break;
    }
    const uint32_t code = code_point(bytes, at, length);
    if (code >= 0x20 && (code < 0x7F || !style_.ensure_ascii)) return bytes.substr(at, length);
    if (code < 0x10000) return unit(code);
    return unit(0xD800 + ((code - 0x10000) >> 10)) + unit(0xDC00 + ((code - 0x10000) & 0x3FF));
  }

  static std::string unit(uint32_t code) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string text = "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) text += kHex[code >> shift & 15];
    return text;
  }

  const JsonStyle& style_;
  Text out_;
};

}  // namespace

Text to_json(const Value& value, const JsonStyle& style) {
  JsonWriter writer(style);
  writer.write(value, kComputed, 0);
  return writer.take();
}

}  // namespace lora::jinja
