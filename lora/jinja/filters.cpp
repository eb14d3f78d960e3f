#include "lora/jinja/filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "lora/jinja/characters.h"
#include "lora/jinja/error.h"
#include "lora/jinja/operations.h"

namespace lora::jinja {
namespace {

using Filter = Value (*)(const Value& input, Arguments& arguments, const std::string& name);

// The value at the path "a.b" or the index `path` of an item. Without a path, the item itself.
Value attribute_of(const Value& item, const Value& path) {
  if (path.is_none() || path.is_undefined()) return item;
  if (path.integer()) return subscript(item, path);
  Value value = item;
  const std::string& names = expect_text(path, "attribute").bytes();
  for (size_t begin = 0;;) {
    const size_t dot = names.find('.', begin);
    value = subscript(value, text(names.substr(begin, dot - begin)));
    if (dot == std::string::npos) return value;
    begin = dot + 1;
  }
}

Value folded(const Value& value, bool case_sensitive) {
  return value.text() && !case_sensitive ? Value(change_case(*value.text(), "lower")) : value;
}

// Jinja2's title filter splits words differently from str.title(): a letter after an apostrophe does not begin a word.
Value case_filter(const Value& input, Arguments&, const std::string& name) {
  return change_case(to_text(input), name == "title" ? "title filter" : name);
}

Value length(const Value& input, Arguments&, const std::string&) {
  if (const Text* text = input.text()) return Value(static_cast<int64_t>(count_characters(text->bytes())));
  return Value(static_cast<int64_t>(iterate(input).size()));
}

Value default_filter(const Value& input, Arguments& arguments, const std::string&) {
  const Value otherwise = arguments.get(0, "default_value", text(""));
  const bool falsy = arguments.get(1, "boolean", Value(false)).truth();
  return input.is_undefined() || (falsy && !input.truth()) ? otherwise : input;
}

Value first_or_last(const Value& input, Arguments&, const std::string& name) {
  const std::vector<Value> items = iterate(input);
  if (items.empty()) return Undefined{name + " item of nothing"};
  return name == "first" ? items.front() : items.back();
}

Value join_filter(const Value& input, Arguments& arguments, const std::string&) {
  const Value between = arguments.get(0, "d", text("")), path = arguments.get(1, "attribute", None{});
  std::vector<Value> items = iterate(input);
  for (Value& item : items) item = attribute_of(item, path);
  return join(items, to_text(between));
}

Value trim(const Value& input, Arguments& arguments, const std::string&) {
  return strip(to_text(input), arguments.get(0, "chars", None{}), Side::kBoth);
}

Value replace_filter(const Value& input, Arguments& arguments, const std::string& name) {
  const Value from = arguments.require(0, "old", name), to = arguments.require(1, "new", name);
  const Value most = arguments.get(2, "count", None{});
  return replace(to_text(input), to_text(from), to_text(to), most.is_none() ? -1 : expect_integer(most, name));
}

Value tojson(const Value& input, Arguments& arguments, const std::string& name) {
  JsonStyle style;
  style.ensure_ascii = arguments.get(0, "ensure_ascii", Value(false)).truth();
  const Value indent = arguments.get(1, "indent", None{}), separators = arguments.get(2, "separators", None{});
  style.sort_keys = arguments.get(3, "sort_keys", Value(false)).truth();
  if (indent.text()) {
    style.indent = indent.text()->bytes();
  } else if (!indent.is_none()) {
    const int64_t width = expect_integer(indent, name);
    if (width > 100) throw TemplateError("tojson: an indent of " + std::to_string(width) + "; expected 100 at most");
    style.indent = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  if (style.indent) style.item_separator = ",";
  if (!separators.is_none()) {
    const std::vector<Value> both = iterate(separators);
    if (both.size() != 2) throw TemplateError("tojson: separators are two");
    style.item_separator = expect_text(both[0], name).bytes();
    style.key_separator = expect_text(both[1], name).bytes();
  }
  return to_json(input, style);
}

Value indent(const Value& input, Arguments& arguments, const std::string& name) {
  const Value width = arguments.get(0, "width", Value(int64_t{4}));
  const bool first = arguments.get(1, "first", Value(false)).truth(),
             blank = arguments.get(2, "blank", Value(false)).truth();
  const Text by =
      width.text()
          ? *width.text()
          : Text(std::string(static_cast<size_t>(std::clamp<int64_t>(expect_integer(width, name), 0, 1000)), ' '),
                 kComputed);
  const Text all = to_text(input);
  Text out;
  for (size_t begin = 0; begin <= all.size();) {
    const size_t end = std::min(all.bytes().find('\n', begin), all.size());
    if (begin == 0 ? first : blank || end > begin) out.append(by);
    out.append(all.part(begin, end + 1));
    begin = end + 1;
  }
  return out;
}

Value to_integer(const Value& input, Arguments& arguments, const std::string& name) {
  const Value otherwise = arguments.get(0, "default", Value(int64_t{0}));
  const int64_t base = expect_integer(arguments.get(1, "base", Value(int64_t{10})), name);
  if (const auto integer = input.integer()) return Value(*integer);
  if (const auto number = input.number())
    return std::abs(*number) < 9e18 ? Value(static_cast<int64_t>(*number)) : otherwise;
  if (!input.text()) return otherwise;
  const std::string digits = strip(*input.text(), None{}, Side::kBoth).bytes();
  int64_t value = 0;
  const char *begin = digits.data() + (digits.starts_with('+') ? 1 : 0), *end = digits.data() + digits.size();
  const auto whole = std::from_chars(begin, end, value, static_cast<int>(std::clamp<int64_t>(base, 2, 36)));
  if (whole.ec == std::errc() && whole.ptr == end) return Value(value);
  double number = 0;
  const auto real = std::from_chars(begin, end, number);
  if (real.ec == std::errc() && real.ptr == end && std::abs(number) < 9e18) return Value(static_cast<int64_t>(number));
  return otherwise;
}

Value to_float(const Value& input, Arguments& arguments, const std::string&) {
  const Value otherwise = arguments.get(0, "default", Value(0.0));
  if (const auto number = input.number()) return Value(*number);
  if (!input.text()) return otherwise;
  const std::string digits = strip(*input.text(), None{}, Side::kBoth).bytes();
  double number = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return read.ec == std::errc() && read.ptr == digits.data() + digits.size() ? Value(number) : otherwise;
}

Value round_filter(const Value& input, Arguments& arguments, const std::string& name) {
  const int64_t digits = expect_integer(arguments.get(0, "precision", Value(int64_t{0})), name);
  const std::string method = to_text(arguments.get(1, "method", text("common"))).bytes();
  if (!input.number()) throw TemplateError("round: found a '" + input.type() + "', expected a number");
  const double factor = std::pow(10.0, static_cast<double>(digits)), scaled = *input.number() * factor;
  // Rounds halves to the even neighbour, as Python does.
  const double rounded = method == "ceil"    ? std::ceil(scaled)
                         : method == "floor" ? std::floor(scaled)
                                             : std::nearbyint(scaled);
  return Value(rounded / factor);
}

Value sorted(const Value& input, Arguments& arguments, const std::string& name) {
  const bool pairs = name == "dictsort";
  // dictsort(case_sensitive, by, reverse) and sort(reverse, case_sensitive, attribute)
  const bool case_sensitive = arguments.get(pairs ? 0 : 1, "case_sensitive", Value(false)).truth();
  const Value by = arguments.get(pairs ? 1 : 2, pairs ? "by" : "attribute", None{});
  const bool reverse = arguments.get(pairs ? 2 : 0, "reverse", Value(false)).truth();
  Arguments none;
  std::vector<Value> items = iterate(pairs ? apply_filter("items", input, none) : input);
  const Value path = !pairs ? by : Value(int64_t{by.text() && by.text()->bytes() == "value"});
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items) keyed.emplace_back(folded(attribute_of(item, path), case_sensitive), item);
  std::ranges::stable_sort(
      keyed, [&](const auto& a, const auto& b) { return reverse ? less(b.first, a.first) : less(a.first, b.first); });
  List list;
  for (auto& [key, item] : keyed) list.items.push_back(item);
  return list;
}

Value extreme(const Value& input, Arguments& arguments, const std::string& name) {
  const bool case_sensitive = arguments.get(0, "case_sensitive", Value(false)).truth();
  const Value path = arguments.get(1, "attribute", None{});
  std::optional<std::pair<Value, Value>> best;
  for (const Value& item : iterate(input)) {
    Value key = folded(attribute_of(item, path), case_sensitive);
    if (!best || (name == "min" ? less(key, best->first) : less(best->first, key))) best = {std::move(key), item};
  }
  return best ? best->second : Value(Undefined{name + " of nothing"});
}

Value sum(const Value& input, Arguments& arguments, const std::string&) {
  const Value path = arguments.get(0, "attribute", None{});
  Value total = arguments.get(1, "start", Value(int64_t{0}));
  for (const Value& item : iterate(input)) total = binary("+", total, attribute_of(item, path));
  return total;
}

Value unique(const Value& input, Arguments& arguments, const std::string&) {
  const bool case_sensitive = arguments.get(0, "case_sensitive", Value(false)).truth();
  const Value path = arguments.get(1, "attribute", None{});
  List list;
  std::vector<Value> seen;
  for (const Value& item : iterate(input)) {
    Value key = folded(attribute_of(item, path), case_sensitive);
    if (std::ranges::any_of(seen, [&](const Value& one) { return equal(one, key); })) continue;
    seen.push_back(std::move(key));
    list.items.push_back(item);
  }
  return list;
}

// The arguments from position `first` on.
Arguments rest_of(Arguments& arguments, size_t first) {
  Arguments rest;
  rest.named = arguments.named;
  for (size_t i = first; i < arguments.positional.size(); ++i) {
    rest.positional.push_back(arguments.positional[i]);
    arguments.find(i, "");
  }
  for (const auto& [name, value] : arguments.named) arguments.find(SIZE_MAX - 1, name);
  return rest;
}

// The items that map and select iterate over: none if the input is false, for example None.
std::vector<Value> items_of(const Value& input) { return input.truth() ? iterate(input) : std::vector<Value>(); }

Value map_filter(const Value& input, Arguments& arguments, const std::string& name) {
  List list;
  if (const Value* path = arguments.find(SIZE_MAX - 1, "attribute")) {
    const Value otherwise = arguments.get(SIZE_MAX - 1, "default", Undefined{"attribute"});
    for (const Value& item : items_of(input)) {
      Value value = attribute_of(item, *path);
      list.items.push_back(value.is_undefined() ? otherwise : value);
    }
    return list;
  }
  const std::string filter = expect_text(arguments.require(0, "filter", name), name).bytes();
  const Arguments rest = rest_of(arguments, 1);
  for (const Value& item : items_of(input)) list.items.push_back(apply_filter(filter, item, rest));
  return list;
}

// select, reject, selectattr and rejectattr
Value select(const Value& input, Arguments& arguments, const std::string& name) {
  const bool of_attribute = name.ends_with("attr"), sought = name.starts_with("select");
  const Value path = of_attribute ? arguments.require(0, "attribute", name) : Value(None{});
  const size_t at = of_attribute ? 1 : 0;
  const Value* test = arguments.find(at, "test");
  const std::string test_name = test ? expect_text(*test, name).bytes() : "";
  const Arguments rest = rest_of(arguments, at + 1);
  List list;
  for (const Value& item : items_of(input)) {
    const Value value = attribute_of(item, path);
    if ((test ? apply_test(test_name, value, rest) : value.truth()) == sought) list.items.push_back(item);
  }
  return list;
}

Value items(const Value& input, Arguments&, const std::string&) {
  if (input.is_undefined()) return List{};
  if (!input.dict() || input.dict()->kind != Dict::Kind::kDict)
    throw TemplateError("items: found a '" + input.type() + "', expected a dict");
  List list{.items = {}, .origin = input.dict()->origin};
  for (const auto& [key, value] : input.dict()->all()) list.items.push_back(List{{key, value}, true, list.origin});
  return list;
}

Value reverse(const Value& input, Arguments&, const std::string&) {
  std::vector<Value> all = iterate(input);
  std::ranges::reverse(all);
  if (input.text()) return join(all, {});
  return List{std::move(all)};
}

Value absolute(const Value& input, Arguments&, const std::string&) {
  if (input.number() && *input.number() >= 0) return input;
  return negative(input);
}

const std::map<std::string, Filter>& filters() {
  static const std::map<std::string, Filter> table = {
      {"abs", absolute},
      {"capitalize", case_filter},
      {"count", length},
      {"d", default_filter},
      {"default", default_filter},
      {"dictsort", sorted},
      {"first", first_or_last},
      {"float", to_float},
      {"format",
       [](const Value& input, Arguments& arguments, const std::string& name) -> Value {
         return format(expect_text(input, name), rest_of(arguments, 0).positional);
       }},
      {"indent", indent},
      {"int", to_integer},
      {"items", items},
      {"join", join_filter},
      {"last", first_or_last},
      {"length", length},
      {"list", [](const Value& input, Arguments&, const std::string&) -> Value { return List{iterate(input)}; }},
      {"lower", case_filter},
      {"map", map_filter},
      {"max", extreme},
      {"min", extreme},
      {"reject", select},
      {"rejectattr", select},
      {"replace", replace_filter},
      {"reverse", reverse},
      {"round", round_filter},
      // The text unchanged: nothing is escaped automatically, so there is nothing to turn off.
      {"safe", [](const Value& input, Arguments&, const std::string&) -> Value { return to_text(input); }},
      {"select", select},
      {"selectattr", select},
      {"sort", sorted},
      {"string", [](const Value& input, Arguments&, const std::string&) -> Value { return to_text(input); }},
      {"sum", sum},
      {"title", case_filter},
      {"tojson", tojson},
      {"trim", trim},
      {"unique", unique},
      {"upper", case_filter},
  };
  return table;
}

using Test = bool (*)(const Value& input, Arguments& arguments, const std::string& name);

bool comparison(const Value& input, Arguments& arguments, const std::string& name) {
  static const std::map<std::string, std::string> kOperators = {{"eq", "=="}, {"equalto", "=="},    {"ne", "!="},
                                                                {"lt", "<"},  {"lessthan", "<"},    {"le", "<="},
                                                                {"gt", ">"},  {"greaterthan", ">"}, {"ge", ">="}};
  const auto found = kOperators.find(name);
  return compare(found == kOperators.end() ? name : found->second, input, arguments.require(0, "other", name));
}
bool parity(const Value& input, Arguments&, const std::string& name) {
  return (expect_integer(input, name) % 2 != 0) == (name == "odd");
}
bool is_iterable(const Value& input, Arguments&, const std::string&) {
  return input.text() || input.list() || input.is_undefined() ||
         (input.dict() && input.dict()->kind == Dict::Kind::kDict);
}

const std::map<std::string, Test>& tests() {
  static const std::map<std::string, Test> table = {
      {"==", comparison},
      {"!=", comparison},
      {"<", comparison},
      {"<=", comparison},
      {">", comparison},
      {">=", comparison},
      {"eq", comparison},
      {"equalto", comparison},
      {"ne", comparison},
      {"lt", comparison},
      {"lessthan", comparison},
      {"le", comparison},
      {"gt", comparison},
      {"greaterthan", comparison},
      {"ge", comparison},
      {"in", comparison},
      {"even", parity},
      {"odd", parity},
      {"iterable", is_iterable},
      {"sequence", is_iterable},
      {"boolean", [](const Value& input, Arguments&, const std::string&) { return input.is<bool>(); }},
      {"callable", [](const Value& input, Arguments&, const std::string&) { return input.function() != nullptr; }},
      {"defined", [](const Value& input, Arguments&, const std::string&) { return !input.is_undefined(); }},
      {"divisibleby",
       [](const Value& input, Arguments& arguments, const std::string& name) {
         return binary("%", input, arguments.require(0, "num", name)).integer() == 0;
       }},
      {"false", [](const Value& input, Arguments&, const std::string&) { return input.is<bool>() && !input.truth(); }},
      {"float", [](const Value& input, Arguments&, const std::string&) { return input.is<double>(); }},
      {"integer", [](const Value& input, Arguments&, const std::string&) { return input.is<int64_t>(); }},
      {"mapping",
       [](const Value& input, Arguments&, const std::string&) {
         return input.dict() != nullptr && input.dict()->kind == Dict::Kind::kDict;
       }},
      {"none", [](const Value& input, Arguments&, const std::string&) { return input.is_none(); }},
      {"number", [](const Value& input, Arguments&, const std::string&) { return input.number().has_value(); }},
      {"sameas",
       [](const Value& input, Arguments& arguments, const std::string& name) {
         const Value other = arguments.require(0, "other", name);
         return input.type() == other.type() && equal(input, other);
       }},
      {"string", [](const Value& input, Arguments&, const std::string&) { return input.text() != nullptr; }},
      {"true", [](const Value& input, Arguments&, const std::string&) { return input.is<bool>() && input.truth(); }},
      {"undefined", [](const Value& input, Arguments&, const std::string&) { return input.is_undefined(); }},
  };
  return table;
}

}  // namespace

// NOLINTNEXTLINE(performance-unnecessary-value-param): what is called marks the arguments that it reads
Value apply_filter(const std::string& name, const Value& input, Arguments arguments) {
  const auto found = filters().find(name);
  if (found == filters().end()) throw TemplateError("the filter '" + name + "' is not supported");
  if (input.text()) pay_to_read(*input.text());
  Value value = found->second(input, arguments, name);
  arguments.finish(name);
  return value;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): what is called marks the arguments that it reads
bool apply_test(const std::string& name, const Value& input, Arguments arguments) {
  const auto found = tests().find(name);
  if (found == tests().end()) throw TemplateError("the test '" + name + "' is not supported");
  const bool result = found->second(input, arguments, name);
  arguments.finish(name);
  return result;
}

}  // namespace lora::jinja
