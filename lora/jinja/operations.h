#pragma once
// What Python's operators, attributes and methods do to values. All throw TemplateError.

#include "lora/jinja/value.h"

namespace lora::jinja {

// Left + right and so on; "~" joins as text.
Value binary(const std::string& name, const Value& left, const Value& right);
// "==", "<", "in", "not in", …
bool compare(const std::string& name, const Value& left, const Value& right);
Value negative(const Value& value);

// object.name and object[key]: undefined where there is none, an error where the object is undefined itself. An
// attribute may be a method; a key of a dict comes behind its methods by name, before them by key.
Value attribute(const Value& object, const std::string& name);
Value subscript(const Value& object, const Value& key);
// object[begin:end:step]; none where undefined or None.
Value slice(const Value& object, const Value& begin, const Value& end, const Value& step);

// The method of a string, list or dict, or nothing.
std::optional<Value> method(const Value& object, const std::string& name);

// Helpers of methods and filters.
const Text& expect_text(const Value& value, const std::string& function);
int64_t expect_integer(const Value& value, const std::string& function);
enum class Side { kBoth, kLeft, kRight };
// Without white space, or the characters of `characters`, at its ends.
Text strip(const Text& text, const Value& characters, Side side);
Text replace(const Text& text, const Text& from, const Text& to, int64_t count);
// ASCII only: other letters are an error, as they would need Unicode's tables.
Text change_case(const Text& text, const std::string& function);
// text % values, and "text" | format(values).
Text format(const Text& text, const std::vector<Value>& values);
Text join(const std::vector<Value>& items, const Text& between);

}  // namespace lora::jinja
