#pragma once
// Python's operators, attribute access and methods on values. All functions throw TemplateError.

#include "lora/jinja/value.h"

namespace lora::jinja {

// left + right and so on; "~" concatenates the operands as text.
Value binary(const std::string& name, const Value& left, const Value& right);
// "==", "<", "in", "not in", …
bool compare(const std::string& name, const Value& left, const Value& right);
Value negative(const Value& value);

// object.name and object[key]. The result is undefined if there is no such item; an undefined object is an error.
// `attribute` looks for a method first and then for a dict's key; `subscript` looks for the key first.
Value attribute(const Value& object, const std::string& name);
Value subscript(const Value& object, const Value& key);
// object[begin:end:step]. A bound that is undefined or None is absent.
Value slice(const Value& object, const Value& begin, const Value& end, const Value& step);

// The method `name` of a string, list or dict, if it has one.
std::optional<Value> method(const Value& object, const std::string& name);

// Helpers for methods and filters.
const Text& expect_text(const Value& value, const std::string& function);
int64_t expect_integer(const Value& value, const std::string& function);
enum class Side { kBoth, kLeft, kRight };
// Removes white space, or the characters of `characters`, from the chosen ends.
Text strip(const Text& text, const Value& characters, Side side);
Text replace(const Text& text, const Text& from, const Text& to, int64_t count);
// Supports ASCII letters only. Other letters throw, because their case needs Unicode's tables.
Text change_case(const Text& text, const std::string& function);
// text % values, and "text" | format(values).
Text format(const Text& text, const std::vector<Value>& values);
Text join(const std::vector<Value>& items, const Text& between);

}  // namespace lora::jinja
