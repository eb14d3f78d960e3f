#pragma once
// The values of expressions: Python's types, as far as chat templates use them.

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lora/jinja/text.h"

namespace lora::jinja {

class Value;
class Arguments;

struct Undefined {
  std::string name;  // the missing name
};
struct None {};
struct List;
struct Dict;
struct Function;

// Cheap to copy: large contents are shared. Immutable, except for namespaces.
class Value {
 public:
  Value() : data_(Undefined{}) {}
  Value(Undefined undefined) : data_(std::move(undefined)) {}
  Value(None) : data_(None{}) {}
  explicit Value(bool value) : data_(value) {}
  explicit Value(int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  // These pay for the text or the list (budget.h). Throws TemplateError for lists and dicts too deep in one another.
  Value(Text text);
  Value(List list);
  Value(Dict dict);
  Value(Function function);

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  const Undefined& undefined() const { return std::get<Undefined>(data_); }
  // The value if it has this type, else null.
  const Text* text() const;
  const List* list() const;
  Dict* dict() const;
  const Function* function() const;
  // As in Python, a bool is also a number.
  std::optional<int64_t> integer() const;
  std::optional<double> number() const;

  int depth() const;  // of lists and dicts within one another; 0: it is neither

  bool truth() const;
  std::string type() const;  // Python's name of the type: 'str', 'dict', …

 private:
  std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>, std::shared_ptr<const List>,
               std::shared_ptr<Dict>, std::shared_ptr<const Function>>
      data_;
};

struct List {
  std::vector<Value> items = {};
  bool tuple = false;
  Origin origin = kComputed;
  int depth = 1;  // set by Value
};

struct Dict {
  enum class Kind { kDict, kNamespace, kLoop };  // the last two have attributes instead of items
  std::vector<std::pair<Value, Value>> entries = {};
  Kind kind = Kind::kDict;
  Origin origin = kComputed;
  int depth = 1;                                      // set by Value and set()
  std::shared_ptr<std::set<std::string>> asked = {};  // gains the keys that are looked at; null: nobody asks for them

  // The entries, all of which count as looked at.
  const std::vector<std::pair<Value, Value>>& all() const;
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  // Throws TemplateError for a value that is too deep.
  void set(const Value& key, Value value);
};

struct Function {
  std::string name;
  std::function<Value(Arguments&)> call;
};

// The arguments of a call, positional and named.
class Arguments {
 public:
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // The parameter's value, or null. Marks the argument as read.
  const Value* find(size_t position, const std::string& name);
  Value get(size_t position, const std::string& name, const Value& otherwise);
  Value require(size_t position, const std::string& name, const std::string& function);
  // Throws TemplateError if an argument was not read.
  void finish(const std::string& function) const;

 private:
  size_t read_positional_ = 0;
  std::vector<std::string> read_named_;
};

Value text(std::string bytes, Origin origin = kComputed);
// All strings and containers of `json` get this origin.
Value from_json(const nlohmann::ordered_json& json, Origin origin);

// For an operation that reads all of a text, which is far quicker than as many steps of the template.
void pay_to_read(const Text& text);

// Python's ==. Values of different types differ, except numbers.
bool equal(const Value& a, const Value& b);
// Python's < for numbers, strings and lists. Throws TemplateError for other types.
bool less(const Value& a, const Value& b);

// Python's str() and repr(). An undefined value is an empty text.
Text to_text(const Value& value);
Text to_repr(const Value& value);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent = {};  // of one level
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false;
};
// Python's json.dumps. Throws TemplateError for a value that JSON cannot hold.
Text to_json(const Value& value, const JsonStyle& style);

// The items that a loop over the value visits. Throws TemplateError if the value is not iterable.
std::vector<Value> iterate(const Value& value);

}  // namespace lora::jinja
