#include "lora/jinja/operations.h"

#include <algorithm>
#include <cmath>

#include "lora/jinja/budget.h"
#include "lora/jinja/characters.h"
#include "lora/jinja/error.h"

namespace lora::jinja {
namespace {

// The longest list that * makes.
constexpr int64_t kLongestList = int64_t{1} << 20;

[[noreturn]] void refuse(const std::string& name, const Value& left, const Value& right) {
  throw TemplateError("'" + left.type() + "' " + name + " '" + right.type() + "' has no meaning");
}

void expect_defined(const Value& value) {
  if (value.is_undefined()) throw TemplateError("'" + value.undefined().name + "' is undefined");
}

Value integers(const std::string& name, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (name == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (name == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (name == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (name == "**") {
    if (b < 0) return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
    result = 1;
    for (int64_t i = 0; i < b && !overflow && !(i > 64 && (a == 0 || a == 1 || a == -1)); ++i) {
      overflow = __builtin_mul_overflow(result, a, &result);
    }
    if (a == -1) result = b % 2 == 0 ? 1 : -1;
  } else if (b == 0) {
    throw TemplateError("division by zero");
  } else if (name == "/") {
    return Value(static_cast<double>(a) / static_cast<double>(b));
  } else if (b == -1) {
    if (name == "//") overflow = __builtin_sub_overflow(int64_t{0}, a, &result);
  } else {  // floor division; the remainder has the divisor's sign
    const int64_t remainder = a % b;
    const bool below = remainder != 0 && (remainder < 0) != (b < 0);
    result = name == "//" ? a / b - below : remainder + (below ? b : 0);
  }
  if (overflow) throw TemplateError("a number is too large");
  return Value(result);
}

Value numbers(const std::string& name, double a, double b) {
  if (name == "+") return Value(a + b);
  if (name == "-") return Value(a - b);
  if (name == "*") return Value(a * b);
  if (name == "**") return Value(std::pow(a, b));
  if (b == 0) throw TemplateError("division by zero");
  if (name == "/") return Value(a / b);
  if (name == "//") return Value(std::floor(a / b));
  const double remainder = std::fmod(a, b);
  return Value(remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder);
}

Value repeated(const Value& value, int64_t times) {
  times = std::max<int64_t>(times, 0);
  const auto size = static_cast<int64_t>(value.text() ? value.text()->size() : value.list()->items.size());
  if (size > 0 && times > (value.text() ? static_cast<int64_t>(kLongestText) : kLongestList) / size)
    throw TemplateError("a repeated text or list is too long");
  Text text;
  List list{.items = {}, .tuple = value.list() && value.list()->tuple};
  for (int64_t i = 0; i < times && size > 0; ++i) {
    if (value.text()) {
      text.append(*value.text());
    } else {
      list.items.insert(list.items.end(), value.list()->items.begin(), value.list()->items.end());
    }
  }
  return value.text() ? Value(std::move(text)) : Value(std::move(list));
}

bool contains(const Value& container, const Value& item) {
  if (const Text* text = container.text()) {
    if (!item.text()) refuse("in", item, container);
    pay_to_read(*text);
    return find_bytes(text->bytes(), item.text()->bytes()) != std::string::npos;
  }
  if (const Dict* dict = container.dict(); dict && dict->kind == Dict::Kind::kDict) return dict->find(item) != nullptr;
  return std::ranges::any_of(iterate(container), [&](const Value& one) { return equal(one, item); });
}

Undefined missing(const Value& object, const std::string& name) { return {object.type() + " object's " + name}; }

}  // namespace

Value binary(const std::string& name, const Value& left, const Value& right) {
  if (name == "~") {
    Text text = to_text(left);
    text.append(to_text(right));
    return text;
  }
  expect_defined(left);
  expect_defined(right);
  if (name == "%" && left.text()) {
    const List* several = right.list();
    return format(*left.text(), several && several->tuple ? several->items : std::vector<Value>{right});
  }
  if (left.integer() && right.integer()) return integers(name, *left.integer(), *right.integer());
  if (left.number() && right.number()) return numbers(name, *left.number(), *right.number());
  if (name == "+" && left.text() && right.text()) {
    Text text = *left.text();
    text.append(*right.text());
    return text;
  }
  if (name == "+" && left.list() && right.list() && left.list()->tuple == right.list()->tuple) {
    List list = *left.list();
    list.items.insert(list.items.end(), right.list()->items.begin(), right.list()->items.end());
    return list;
  }
  if (name == "*" && (left.text() || left.list()) && right.integer()) return repeated(left, *right.integer());
  if (name == "*" && (right.text() || right.list()) && left.integer()) return repeated(right, *left.integer());
  refuse(name, left, right);
}

bool compare(const std::string& name, const Value& left, const Value& right) {
  if (name == "==") return equal(left, right);
  if (name == "!=") return !equal(left, right);
  if (name == "in") return contains(right, left);
  if (name == "not in") return !contains(right, left);
  expect_defined(left);
  expect_defined(right);
  if (name == "<") return less(left, right);
  if (name == ">") return less(right, left);
  return less(name == "<=" ? left : right, name == "<=" ? right : left) || equal(left, right);
}

Value negative(const Value& value) {
  if (const auto integer = value.integer()) return integers("-", 0, *integer);
  if (const auto number = value.number()) return Value(-*number);
  expect_defined(value);
  throw TemplateError("-'" + value.type() + "' has no meaning");
}

Value attribute(const Value& object, const std::string& name) {
  expect_defined(object);
  if (const Dict* dict = object.dict()) {
    if (dict->kind == Dict::Kind::kDict) {
      if (auto found = method(object, name)) return *std::move(found);
    }
    const Value* found = dict->find(name);
    return found ? *found : missing(object, name);
  }
  auto found = method(object, name);
  return found ? *std::move(found) : Value(missing(object, name));
}

Value subscript(const Value& object, const Value& key) {
  expect_defined(object);
  if (const Dict* dict = object.dict(); dict && dict->kind == Dict::Kind::kDict) {
    if (const Value* found = dict->find(key)) return *found;
  } else if (const auto index = key.integer(); index && (object.list() || object.text())) {
    if (object.text()) pay_to_read(*object.text());  // indices count characters, not bytes
    const std::vector<size_t> offsets =
        object.text() ? character_offsets(object.text()->bytes()) : std::vector<size_t>();
    const auto size = static_cast<int64_t>(object.text() ? offsets.size() - 1 : object.list()->items.size());
    const int64_t at = *index < 0 ? *index + size : *index;
    if (at < 0 || at >= size) return missing(object, std::to_string(*index));
    const auto place = static_cast<size_t>(at);
    if (object.list()) return object.list()->items[place];
    return object.text()->part(offsets[place], offsets[place + 1]);
  }
  if (key.text()) return attribute(object, key.text()->bytes());
  return missing(object, to_text(key).bytes());
}

Value slice(const Value& object, const Value& begin, const Value& end, const Value& step) {
  expect_defined(object);
  if (!object.text() && !object.list()) throw TemplateError("a '" + object.type() + "' has no slices");
  if (object.text()) pay_to_read(*object.text());
  const auto given = [](const Value& value) -> std::optional<int64_t> {
    if (value.is_undefined() || value.is_none()) return {};
    return expect_integer(value, "a slice");
  };
  const std::vector<size_t> offsets = object.text() ? character_offsets(object.text()->bytes()) : std::vector<size_t>();
  const auto size = static_cast<int64_t>(object.text() ? offsets.size() - 1 : object.list()->items.size());
  const int64_t by = given(step).value_or(1);
  if (by == 0) throw TemplateError("a slice's step is zero");
  const int64_t least = by > 0 ? 0 : -1, most = by > 0 ? size : size - 1;
  const auto place = [&](const Value& value, int64_t otherwise) {
    const auto at = given(value);
    if (!at) return otherwise;
    return std::clamp(*at < 0 ? std::max(*at, -size - 1) + size : *at, least, most);
  };
  const int64_t first = place(begin, by > 0 ? 0 : size - 1), last = place(end, by > 0 ? size : -1);
  Text text;
  List list{
      .items = {}, .tuple = object.list() && object.list()->tuple, .origin = object.list() ? object.list()->origin : 0};
  for (int64_t at = first; by > 0 ? at < last : at > last;) {
    const auto i = static_cast<size_t>(at);
    if (object.list()) {
      Budget::pay_steps(1);
      list.items.push_back(object.list()->items[i]);
    } else if (by == 1) {
      return object.text()->part(offsets[i], offsets[static_cast<size_t>(last)]);
    } else {
      text.append(object.text()->part(offsets[i], offsets[i + 1]));
    }
    if (__builtin_add_overflow(at, by, &at)) break;
  }
  return object.text() ? Value(std::move(text)) : Value(std::move(list));
}

}  // namespace lora::jinja
