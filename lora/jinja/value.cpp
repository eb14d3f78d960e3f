#include "lora/jinja/value.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lora/jinja/budget.h"
#include "lora/jinja/characters.h"
#include "lora/jinja/error.h"

namespace lora::jinja {
namespace {

void check_depth(int depth) {
  if (depth > kDeepestValue)
    throw TemplateError("a value is nested more than " + std::to_string(kDeepestValue) + " deep");
}

bool equal_at(const Value& a, const Value& b, int depth);

bool equal_items(const std::vector<Value>& a, const std::vector<Value>& b, int depth) {
  return std::ranges::equal(a, b, [&](const Value& x, const Value& y) { return equal_at(x, y, depth + 1); });
}

bool equal_at(const Value& a, const Value& b, int depth) {
  check_depth(depth);
  Budget::pay_steps(1);
  if (a.integer() && b.integer()) return *a.integer() == *b.integer();
  if (a.number() && b.number()) return *a.number() == *b.number();
  if (a.text() && b.text()) {
    pay_to_read(*a.text());
    return a.text()->bytes() == b.text()->bytes();
  }
  if (a.list() && b.list())
    return a.list()->tuple == b.list()->tuple && equal_items(a.list()->items, b.list()->items, depth);
  if (a.dict() && b.dict()) {
    const Dict &left = *a.dict(), &right = *b.dict();
    if (&left == &right) return true;
    if (left.kind != Dict::Kind::kDict || right.kind != Dict::Kind::kDict) return false;
    return left.entries.size() == right.entries.size() && std::ranges::all_of(left.all(), [&](const auto& entry) {
             const Value* other = right.find(entry.first);
             return other && equal_at(entry.second, *other, depth + 1);
           });
  }
  if (a.function() && b.function()) return a.function() == b.function();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

bool less_at(const Value& a, const Value& b, int depth) {
  check_depth(depth);
  Budget::pay_steps(1);
  if (a.integer() && b.integer()) return *a.integer() < *b.integer();
  if (a.number() && b.number()) return *a.number() < *b.number();
  if (a.text() && b.text()) {
    pay_to_read(*a.text());
    return a.text()->bytes() < b.text()->bytes();
  }
  if (a.list() && b.list()) {
    return std::ranges::lexicographical_compare(
        a.list()->items, b.list()->items, [&](const Value& x, const Value& y) { return less_at(x, y, depth + 1); });
  }
  throw TemplateError("'" + a.type() + "' and '" + b.type() + "' have no order");
}

// Quotes a string as Python does inside a list.
void append_quoted(Text& out, const Text& text, Origin origin) {
  const std::string& bytes = text.bytes();
  const bool twice = bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos;
  const char quote = twice ? '"' : '\'';
  out.append(std::string(1, quote), origin);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    const Origin from = text.origin_at(i);
    if (c == '\n') {
      out.append("\\n", from);
    } else if (c == '\r') {
      out.append("\\r", from);
    } else if (c == '\t') {
      out.append("\\t", from);
    } else if (c == quote || c == '\\') {
      out.append(std::string("\\") + c, from);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      static constexpr char kHex[] = "0123456789abcdef";
      out.append(std::string("\\x") + kHex[(c >> 4) & 15] + kHex[c & 15], from);
    } else {
      out.append(std::string(1, c), from);
    }
  }
  out.append(std::string(1, quote), origin);
}

void append_repr(Text& out, const Value& value, Origin origin, int depth) {
  check_depth(depth);
  if (const Text* text = value.text()) {
    append_quoted(out, *text, origin);
  } else if (const List* list = value.list()) {
    out.append(list->tuple ? "(" : "[", list->origin);
    for (size_t i = 0; i < list->items.size(); ++i) {
      if (i > 0) out.append(", ", list->origin);
      append_repr(out, list->items[i], list->origin, depth + 1);
    }
    if (list->tuple && list->items.size() == 1) out.append(",", list->origin);
    out.append(list->tuple ? ")" : "]", list->origin);
  } else if (const Dict* dict = value.dict()) {
    if (dict->kind != Dict::Kind::kDict) throw TemplateError("a '" + value.type() + "' cannot be printed");
    out.append("{", dict->origin);
    const auto& entries = dict->all();
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out.append(", ", dict->origin);
      append_repr(out, entries[i].first, dict->origin, depth + 1);
      out.append(": ", dict->origin);
      append_repr(out, entries[i].second, dict->origin, depth + 1);
    }
    out.append("}", dict->origin);
  } else if (value.is_undefined()) {
    out.append("Undefined", origin);
  } else {
    out.append(to_text(value).bytes(), origin);
  }
}

}  // namespace

// What a value takes beside its bytes.
constexpr size_t kValueBytes = 64;

Value::Value(Text text) : data_(std::make_shared<const Text>(std::move(text))) {
  Budget::pay_bytes(kValueBytes + this->text()->size() + this->text()->runs().size() * sizeof(Run));
}

Value::Value(List list) {
  for (const Value& item : list.items) list.depth = std::max(list.depth, item.depth() + 1);
  check_depth(list.depth);
  Budget::pay_bytes(kValueBytes + list.items.size() * sizeof(Value));
  data_ = std::make_shared<const List>(std::move(list));
}

Value::Value(Dict dict) {
  for (const auto& [key, value] : dict.entries) dict.depth = std::max(dict.depth, value.depth() + 1);
  check_depth(dict.depth);
  Budget::pay_bytes(kValueBytes + dict.entries.size() * 2 * sizeof(Value));
  auto shared = std::make_shared<Dict>(std::move(dict));
  if (shared->kind == Dict::Kind::kNamespace) Budget::keep(shared);
  data_ = std::move(shared);
}

Value::Value(Function function) : data_(std::make_shared<const Function>(std::move(function))) {
  Budget::pay_bytes(kValueBytes);
}

const Text* Value::text() const {
  const auto* held = std::get_if<std::shared_ptr<const Text>>(&data_);
  return held ? held->get() : nullptr;
}
const List* Value::list() const {
  const auto* held = std::get_if<std::shared_ptr<const List>>(&data_);
  return held ? held->get() : nullptr;
}
Dict* Value::dict() const {
  const auto* held = std::get_if<std::shared_ptr<Dict>>(&data_);
  return held ? held->get() : nullptr;
}
const Function* Value::function() const {
  const auto* held = std::get_if<std::shared_ptr<const Function>>(&data_);
  return held ? held->get() : nullptr;
}

std::optional<int64_t> Value::integer() const {
  if (const bool* value = std::get_if<bool>(&data_)) return *value;
  if (const int64_t* value = std::get_if<int64_t>(&data_)) return *value;
  return {};
}

std::optional<double> Value::number() const {
  if (const double* value = std::get_if<double>(&data_)) return *value;
  if (const auto value = integer()) return static_cast<double>(*value);
  return {};
}

int Value::depth() const { return list() ? list()->depth : dict() ? dict()->depth : 0; }

bool Value::truth() const {
  if (const auto value = number()) return *value != 0;
  if (text()) return !text()->empty();
  if (list()) return !list()->items.empty();
  if (dict()) return dict()->kind != Dict::Kind::kDict || !dict()->entries.empty();
  return function() != nullptr;
}

std::string Value::type() const {
  if (is<bool>()) return "bool";
  if (is<int64_t>()) return "int";
  if (is<double>()) return "float";
  if (text()) return "str";
  if (list()) return list()->tuple ? "tuple" : "list";
  if (dict()) {
    return dict()->kind == Dict::Kind::kDict ? "dict" : dict()->kind == Dict::Kind::kLoop ? "loop" : "namespace";
  }
  return function() ? "function" : is_none() ? "None" : "Undefined";
}

const std::vector<std::pair<Value, Value>>& Dict::all() const {
  Budget::pay_steps(static_cast<int64_t>(entries.size()));
  for (const auto& [key, value] : entries) {
    if (asked && key.text()) asked->insert(key.text()->bytes());
  }
  return entries;
}

const Value* Dict::find(const Value& key) const {
  if (asked && key.text()) asked->insert(key.text()->bytes());
  const auto found = std::ranges::find_if(entries, [&](const auto& entry) { return equal(entry.first, key); });
  return found == entries.end() ? nullptr : &found->second;
}

const Value* Dict::find(std::string_view key) const {
  if (asked) asked->emplace(key);
  Budget::pay_steps(static_cast<int64_t>(entries.size() / 8));
  const auto found = std::ranges::find_if(
      entries, [&](const auto& entry) { return entry.first.text() && entry.first.text()->bytes() == key; });
  return found == entries.end() ? nullptr : &found->second;
}

void Dict::set(const Value& key, Value value) {
  depth = std::max(depth, value.depth() + 1);
  check_depth(depth);
  const auto found = std::ranges::find_if(entries, [&](const auto& entry) { return equal(entry.first, key); });
  if (found == entries.end()) {
    entries.emplace_back(key, std::move(value));
  } else {
    found->second = std::move(value);
  }
}

const Value* Arguments::find(size_t position, const std::string& name) {
  Budget::pay_steps(static_cast<int64_t>(named.size() / 8));
  read_positional_ = std::max(read_positional_, position + 1);
  if (position < positional.size()) return &positional[position];
  read_named_.push_back(name);
  const auto found = std::ranges::find_if(named, [&](const auto& argument) { return argument.first == name; });
  return found == named.end() ? nullptr : &found->second;
}

Value Arguments::get(size_t position, const std::string& name, const Value& otherwise) {
  const Value* found = find(position, name);
  return found ? *found : otherwise;
}

Value Arguments::require(size_t position, const std::string& name, const std::string& function) {
  const Value* found = find(position, name);
  if (!found) throw TemplateError(function + "() lacks its argument '" + name + "'");
  return *found;
}

void Arguments::finish(const std::string& function) const {
  if (positional.size() > read_positional_) {
    throw TemplateError(function + "() takes at most " + std::to_string(read_positional_) + " arguments, found " +
                        std::to_string(positional.size()));
  }
  for (const auto& [name, value] : named) {
    Budget::pay_steps(static_cast<int64_t>(read_named_.size() / 8));
    if (std::ranges::count(read_named_, name) == 0) throw TemplateError(function + "() has no argument '" + name + "'");
  }
}

Value text(std::string bytes, Origin origin) { return Text(std::move(bytes), origin); }

Value from_json(const nlohmann::ordered_json& json, Origin origin) {
  if (json.is_null()) return None{};
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX) return Value(json.get<double>());
  if (json.is_number_integer()) return Value(json.get<int64_t>());
  if (json.is_number_float()) return Value(json.get<double>());
  if (json.is_string()) return text(json.get_ref<const std::string&>(), origin);
  if (json.is_array()) {
    List list{.items = {}, .origin = origin};
    for (const auto& item : json) list.items.push_back(from_json(item, origin));
    return list;
  }
  Dict dict{.entries = {}, .origin = origin};
  for (const auto& item : json.items())
    dict.entries.emplace_back(text(item.key(), origin), from_json(item.value(), origin));
  return dict;
}

void pay_to_read(const Text& text) { Budget::pay_steps(static_cast<int64_t>(text.size() / 8)); }

bool equal(const Value& a, const Value& b) { return equal_at(a, b, 0); }
bool less(const Value& a, const Value& b) { return less_at(a, b, 0); }

Text to_text(const Value& value) {
  if (const Text* text = value.text()) return *text;
  if (value.is_undefined()) return {};
  if (value.is_none()) return {"None", kComputed};
  if (value.is<bool>()) return {value.truth() ? "True" : "False", kComputed};
  if (const auto integer = value.integer()) return {std::to_string(*integer), kComputed};
  if (const auto number = value.number()) return {python_float(*number), kComputed};
  if (const Function* function = value.function()) {
    throw TemplateError("'" + function->name + "' is a function and cannot be printed; its call lacks ()");
  }
  return to_repr(value);
}

Text to_repr(const Value& value) {
  Text out;
  append_repr(out, value, kComputed, 0);
  return out;
}

std::vector<Value> iterate(const Value& value) {
  if (const List* list = value.list()) {
    Budget::pay_steps(static_cast<int64_t>(list->items.size()));
    return list->items;
  }
  std::vector<Value> items;
  if (const Dict* dict = value.dict(); dict && dict->kind == Dict::Kind::kDict) {
    for (const auto& [key, unused] : dict->all()) items.push_back(key);
  } else if (const Text* text = value.text()) {
    for (size_t at = 0; at < text->size();) {
      const size_t end = at + character_length(text->bytes(), at);
      items.push_back(text->part(at, end));
      at = end;
    }
  } else if (!value.is_undefined()) {
    throw TemplateError("a '" + value.type() + "' has no items to go through");
  }
  return items;
}

}  // namespace lora::jinja
