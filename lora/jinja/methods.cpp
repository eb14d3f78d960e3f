// The methods of strings, lists and dicts.

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "lora/jinja/budget.h"
#include "lora/jinja/characters.h"
#include "lora/jinja/error.h"
#include "lora/jinja/operations.h"

namespace lora::jinja {
namespace {

constexpr int64_t kAll = -1;

std::vector<Value> split_at_spaces(const Text& text, int64_t most, bool from_right) {
  std::vector<std::pair<size_t, size_t>> words;
  size_t begin = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const size_t length = character_length(text.bytes(), at);
    const bool space = is_space(code_point(text.bytes(), at, length));
    if (!space && !inside) begin = at;
    if (space && inside) words.emplace_back(begin, at);
    inside = !space;
    at += length;
  }
  if (inside) words.emplace_back(begin, text.size());
  if (most >= 0 && words.size() > static_cast<size_t>(most)) {
    const size_t rest = words.size() - static_cast<size_t>(most);
    if (from_right) {  // the rest is one item, with its leading and trailing spaces
      words[rest - 1].first = 0;
      words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(rest) - 1);
    } else {
      words.resize(static_cast<size_t>(most) + 1);
      words.back().second = text.size();
    }
  }
  std::vector<Value> parts;
  for (const auto& [first, last] : words) parts.push_back(text.part(first, last));
  return parts;
}

// Where the separator begins, from left to right; at most so many places, from the left or the right; negative: all.
std::vector<size_t> places_of(const Text& text, const Text& separator, int64_t most, bool from_right) {
  std::string_view bytes = text.bytes(), part = separator.bytes();
  std::string reversed_bytes, reversed_part;
  if (from_right) {
    bytes = reversed_bytes.assign(bytes.rbegin(), bytes.rend());
    part = reversed_part.assign(part.rbegin(), part.rend());
  }
  std::vector<size_t> places;
  for (size_t at = find_bytes(bytes, part);
       at != std::string::npos && (most < 0 || static_cast<int64_t>(places.size()) < most);
       at = find_bytes(bytes, part, at + part.size())) {
    Budget::pay_steps(4);  // for the place, and for what is done there
    places.push_back(from_right ? bytes.size() - at - part.size() : at);
  }
  if (from_right) std::ranges::reverse(places);
  return places;
}

std::vector<Value> split(const Text& text, const Text& separator, int64_t most, bool from_right) {
  if (separator.empty()) throw TemplateError("split(): the separator is empty");
  std::vector<size_t> places = places_of(text, separator, most, from_right);
  std::vector<Value> parts;
  size_t begin = 0;
  for (const size_t at : places) {
    parts.push_back(text.part(begin, at));
    begin = at + separator.size();
  }
  parts.push_back(text.part(begin, text.size()));
  return parts;
}

std::vector<Value> split_lines(const Text& text, bool keep_ends) {
  std::vector<Value> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t length = character_length(text.bytes(), at);
    const uint32_t c = code_point(text.bytes(), at, length);
    const bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    size_t next = at + length;
    if (ends) {
      if (c == '\r' && next < text.size() && text.bytes()[next] == '\n') ++next;
      lines.push_back(text.part(begin, keep_ends ? next : at));
      begin = next;
    }
    at = next;
  }
  if (begin < text.size()) lines.push_back(text.part(begin, text.size()));
  return lines;
}

bool starts_or_ends(const Text& text, const Value& with, bool starts) {
  if (const List* several = with.list()) {
    return std::ranges::any_of(several->items, [&](const Value& one) { return starts_or_ends(text, one, starts); });
  }
  const Text& sought = expect_text(with, starts ? "startswith" : "endswith");
  pay_to_read(sought);
  const std::string& part = sought.bytes();
  return starts ? text.bytes().starts_with(part) : text.bytes().ends_with(part);
}

bool all_characters(const Text& text, const std::string& name) {
  const auto matches = [&](unsigned char c) {
    if (c >= 0x80) throw TemplateError(name + "() of letters beyond ASCII is not supported");
    if (name == "isdigit" || name == "isnumeric" || name == "isdecimal") return std::isdigit(c) != 0;
    if (name == "isalpha") return std::isalpha(c) != 0;
    return name == "isalnum" ? std::isalnum(c) != 0 : is_space(c);
  };
  return !text.empty() &&
         std::ranges::all_of(text.bytes(), [&](char c) { return matches(static_cast<unsigned char>(c)); });
}

// The character index of `part`, or -1.
int64_t find(const Text& text, const Text& part, bool last) {
  size_t at = part.empty() ? text.size() : std::string::npos;
  if (!last) {
    at = find_bytes(text.bytes(), part.bytes());
  } else if (!part.empty()) {
    for (const size_t place : places_of(text, part, 1, /*from_right=*/true)) at = place;
  }
  if (at == std::string::npos) return -1;
  return static_cast<int64_t>(count_characters(std::string_view(text.bytes()).substr(0, at)));
}

int64_t count(const Text& text, const Text& part) {
  if (part.empty()) return static_cast<int64_t>(count_characters(text.bytes())) + 1;
  return static_cast<int64_t>(places_of(text, part, kAll, false).size());
}

// str.format() with "{}", "{0}" and "{name}". Format specifications and attribute access are not supported.
Text format_braces(const Text& text, Arguments& arguments) {
  Text out;
  const std::string& bytes = text.bytes();
  size_t automatic = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    const char c = bytes[at];
    const bool twice = at + 1 < bytes.size() && bytes[at + 1] == c;
    if ((c != '{' && c != '}') || twice) {
      out.append(text.part(at, at + 1));
      at += (c == '{' || c == '}') && twice;
      continue;
    }
    const size_t end = bytes.find('}', at);
    if (c == '}' || end == std::string::npos) throw TemplateError("format: a brace without its partner");
    const std::string field = bytes.substr(at + 1, end - at - 1);
    const bool digits = std::ranges::all_of(field, [](char one) { return one >= '0' && one <= '9'; });
    if (field.find_first_of(":!.[") != std::string::npos || field.size() > 60 || (digits && field.size() > 3)) {
      throw TemplateError("format: {" + field + "} is not supported; expected {}, {0} or {name}");
    }
    const size_t position = field.empty() ? automatic++ : digits ? std::stoul(field) : SIZE_MAX - 1;
    const Value* value = arguments.find(position, field);
    if (!value) throw TemplateError("format: no value for {" + field + "}");
    out.append(to_text(*value));
    at = end;
  }
  return out;
}

using TextMethod = Value (*)(const Text& text, Arguments& arguments, const std::string& name);

Value cased(const Text& text, Arguments&, const std::string& name) { return change_case(text, name); }
Value stripped(const Text& text, Arguments& arguments, const std::string& name) {
  const Value characters = arguments.get(0, "chars", None{});
  return strip(text, characters, name == "strip" ? Side::kBoth : name == "lstrip" ? Side::kLeft : Side::kRight);
}
Value split_method(const Text& text, Arguments& arguments, const std::string& name) {
  const Value separator = arguments.get(0, "sep", None{});
  const int64_t most = expect_integer(arguments.get(1, "maxsplit", Value(kAll)), name);
  if (separator.is_none()) return List{split_at_spaces(text, most, name == "rsplit")};
  return List{split(text, expect_text(separator, name), most, name == "rsplit")};
}
Value ends_method(const Text& text, Arguments& arguments, const std::string& name) {
  return Value(starts_or_ends(text, arguments.require(0, "prefix", name), name == "startswith"));
}
Value removed(const Text& text, Arguments& arguments, const std::string& name) {
  const Value part = arguments.require(0, "part", name);
  const size_t size = expect_text(part, name).size();
  if (!starts_or_ends(text, part, name == "removeprefix")) return text;
  return name == "removeprefix" ? text.part(size, text.size()) : text.part(0, text.size() - size);
}
Value is_method(const Text& text, Arguments&, const std::string& name) { return Value(all_characters(text, name)); }
Value find_method(const Text& text, Arguments& arguments, const std::string& name) {
  const Value part = arguments.require(0, "sub", name);
  const int64_t at = find(text, expect_text(part, name), name == "rfind");
  if (name == "index" && at < 0) throw TemplateError("index(): the part is not in the text");
  return Value(at);
}

const std::map<std::string, TextMethod>& text_methods() {
  static const std::map<std::string, TextMethod> table = {
      {"upper", cased},
      {"lower", cased},
      {"title", cased},
      {"capitalize", cased},
      {"strip", stripped},
      {"lstrip", stripped},
      {"rstrip", stripped},
      {"split", split_method},
      {"rsplit", split_method},
      {"startswith", ends_method},
      {"endswith", ends_method},
      {"removeprefix", removed},
      {"removesuffix", removed},
      {"isdigit", is_method},
      {"isdecimal", is_method},
      {"isnumeric", is_method},
      {"isalpha", is_method},
      {"isalnum", is_method},
      {"isspace", is_method},
      {"find", find_method},
      {"rfind", find_method},
      {"index", find_method},
      {"format",
       [](const Text& text, Arguments& arguments, const std::string&) -> Value {
         return format_braces(text, arguments);
       }},
      {"splitlines",
       [](const Text& text, Arguments& arguments, const std::string&) -> Value {
         return List{split_lines(text, arguments.get(0, "keepends", Value(false)).truth())};
       }},
      {"count",
       [](const Text& text, Arguments& arguments, const std::string& name) {
         return Value(count(text, expect_text(arguments.require(0, "sub", name), name)));
       }},
      {"replace",
       [](const Text& text, Arguments& arguments, const std::string& name) -> Value {
         const Value from = arguments.require(0, "old", name), to = arguments.require(1, "new", name);
         return replace(text, expect_text(from, name), expect_text(to, name),
                        expect_integer(arguments.get(2, "count", Value(kAll)), name));
       }},
      {"join",
       [](const Text& text, Arguments& arguments, const std::string& name) -> Value {
         const std::vector<Value> items = iterate(arguments.require(0, "iterable", name));
         for (const Value& item : items) expect_text(item, name);
         return join(items, text);
       }},
  };
  return table;
}

Value bound(const std::string& name, std::function<Value(Arguments&)> call) {
  return Function{name, [name, call = std::move(call)](Arguments& arguments) {
                    Value result = call(arguments);
                    arguments.finish(name);
                    return result;
                  }};
}

std::optional<Value> dict_method(const Value& object, const std::string& name) {
  const Dict& dict = *object.dict();
  if (name == "get") {
    return bound(name, [object](Arguments& arguments) {
      const Value* found = object.dict()->find(arguments.require(0, "key", "get"));
      const Value otherwise = arguments.get(1, "default", None{});
      return found ? *found : otherwise;
    });
  }
  if (name != "items" && name != "keys" && name != "values") return {};
  List list{.items = {}, .origin = dict.origin};
  for (const auto& [key, value] : dict.all()) {
    if (name == "items") {
      list.items.push_back(List{{key, value}, true, dict.origin});
    } else {
      list.items.push_back(name == "keys" ? key : value);
    }
  }
  return bound(name, [made = Value(std::move(list))](Arguments&) { return made; });
}

std::optional<Value> list_method(const Value& object, const std::string& name) {
  if (name != "index" && name != "count") return {};
  return bound(name, [object, name](Arguments& arguments) {
    const auto& items = object.list()->items;
    const Value sought = arguments.require(0, "value", name);
    if (name == "count") {
      return Value(
          static_cast<int64_t>(std::ranges::count_if(items, [&](const Value& one) { return equal(one, sought); })));
    }
    const auto found = std::ranges::find_if(items, [&](const Value& one) { return equal(one, sought); });
    if (found == items.end()) throw TemplateError("index(): the value is not in the list");
    return Value(static_cast<int64_t>(found - items.begin()));
  });
}

}  // namespace

std::optional<Value> method(const Value& object, const std::string& name) {
  if (object.text()) {
    const auto found = text_methods().find(name);
    if (found == text_methods().end()) return {};
    return bound(name, [object, found](Arguments& arguments) {
      pay_to_read(*object.text());
      return found->second(*object.text(), arguments, found->first);
    });
  }
  // A template must not change its input; Jinja2's sandbox forbids it too.
  static const std::map<std::string, std::vector<std::string>> kChanging = {
      {"list", {"append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear"}},
      {"dict", {"update", "pop", "popitem", "setdefault", "clear"}}};
  if (const auto changing = kChanging.find(object.type());
      changing != kChanging.end() && std::ranges::count(changing->second, name) > 0) {
    return bound(name, [name, type = object.type()](Arguments&) -> Value {
      throw TemplateError("a template may not change a " + type + " with " + name + "()");
    });
  }
  if (object.list()) return list_method(object, name);
  if (object.dict() && object.dict()->kind == Dict::Kind::kDict) return dict_method(object, name);
  return {};
}

const Text& expect_text(const Value& value, const std::string& function) {
  if (!value.text()) {
    throw TemplateError(
        function + ": found " +
        (value.is_undefined() ? "'" + value.undefined().name + "', which is undefined" : "a '" + value.type() + "'") +
        ", expected text");
  }
  return *value.text();
}

int64_t expect_integer(const Value& value, const std::string& function) {
  if (!value.integer()) throw TemplateError(function + ": found a '" + value.type() + "', expected an integer");
  return *value.integer();
}

Text strip(const Text& text, const Value& characters, Side side) {
  const std::vector<size_t> offsets = character_offsets(text.bytes());
  std::set<std::string_view> taken;
  if (const Text* given = characters.text()) {
    pay_to_read(*given);
    const std::string_view bytes = given->bytes();
    for (size_t at = 0; at < bytes.size(); at += character_length(bytes, at)) {
      taken.insert(bytes.substr(at, character_length(bytes, at)));
    }
  }
  const auto goes = [&](size_t i) {
    const size_t at = offsets[i], length = offsets[i + 1] - at;
    return characters.text() ? taken.contains(std::string_view(text.bytes()).substr(at, length))
                             : is_space(code_point(text.bytes(), at, length));
  };
  size_t begin = 0, end = offsets.size() - 1;
  while (side != Side::kRight && begin < end && goes(begin)) ++begin;
  while (side != Side::kLeft && begin < end && goes(end - 1)) --end;
  return text.part(offsets[begin], offsets[end]);
}

Text replace(const Text& text, const Text& from, const Text& to, int64_t count) {
  if (from.empty()) throw TemplateError("replace(): what to replace is empty");
  Text out;
  size_t begin = 0;
  for (const size_t at : places_of(text, from, count, false)) {
    out.append(text.part(begin, at));
    out.append(to);
    begin = at + from.size();
  }
  out.append(text.part(begin, text.size()));
  return out;
}

Text join(const std::vector<Value>& items, const Text& between) {
  Text out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(between);
    out.append(to_text(items[i]));
  }
  return out;
}

Text change_case(const Text& text, const std::string& function) {
  pay_to_read(text);
  if (std::ranges::any_of(text.bytes(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
    throw TemplateError(function + " of letters beyond ASCII is not supported");
  }
  const std::string& bytes = text.bytes();
  const bool upper = function == "upper", capitalize = function == "capitalize", title = function == "title",
             title_filter = function == "title filter";
  return text.mapped([&](size_t i, char c) {
    const auto letter = [](char one) { return std::isalpha(static_cast<unsigned char>(one)) != 0; };
    const bool up =
        upper || (capitalize && i == 0) || (title && (i == 0 || !letter(bytes[i - 1]))) ||
        (title_filter && (i == 0 || std::string_view("- \t\n\r\f\v({[<").find(bytes[i - 1]) != std::string_view::npos));
    return static_cast<char>(up ? std::toupper(static_cast<unsigned char>(c))
                                : std::tolower(static_cast<unsigned char>(c)));
  });
}

Text format(const Text& text, const std::vector<Value>& values) {
  Text out;
  size_t used = 0;
  const std::string& bytes = text.bytes();
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (bytes[at] != '%') {
      out.append(text.part(at, at + 1));
      continue;
    }
    const char type = ++at < bytes.size() ? bytes[at] : '\0';
    if (type == '%') {
      out.append(text.part(at, at + 1));
      continue;
    }
    if (used == values.size()) throw TemplateError("%: more places than values");
    const Value& value = values[used++];
    if (type == 's') {
      out.append(to_text(value));
    } else if (type == 'r') {
      out.append(to_repr(value));
    } else if (type == 'd' || type == 'i') {
      out.append(std::to_string(expect_integer(value, "%d")), kComputed);
    } else {
      throw TemplateError(std::string("%") + type + " is not supported; expected %s, %r or %d");
    }
  }
  if (used < values.size()) throw TemplateError("%: more values than places");
  return out;
}

}  // namespace lora::jinja
