#include "lora/jinja/globals.h"

#include <ctime>

#include "lora/jinja/operations.h"

namespace lora::jinja {
namespace {

// The limit of Jinja2's sandbox.
constexpr int64_t kLongestRange = 100'000;

Value range(Arguments& arguments) {
  int64_t begin = 0, end = expect_integer(arguments.require(0, "stop", "range"), "range");
  if (const Value* stop = arguments.find(1, "stop")) {
    begin = end;
    end = expect_integer(*stop, "range");
  }
  const int64_t step = expect_integer(arguments.get(2, "step", Value(int64_t{1})), "range");
  if (step == 0) throw TemplateError("range: the step is zero");
  List list;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (static_cast<int64_t>(list.items.size()) == kLongestRange) {
      throw TemplateError("range: more than " + std::to_string(kLongestRange) + " numbers");
    }
    list.items.push_back(Value(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return list;
}

Value make_dict(Arguments& arguments, Dict::Kind kind) {
  Dict dict{.entries = {}, .kind = kind};
  if (const Value* given = arguments.find(0, "")) {
    if (!given->dict()) throw TemplateError("dict: found a '" + given->type() + "', expected a dict or names");
    dict.entries = given->dict()->all();
  }
  for (const auto& [name, value] : arguments.named) {
    if (kind == Dict::Kind::kNamespace && name.starts_with('_')) {
      throw TemplateError("a namespace holds no '" + name + "'; names of its own do not begin with '_'");
    }
    arguments.find(SIZE_MAX - 1, name);
    dict.set(text(name), value);
  }
  return dict;
}

Value strftime(Arguments& arguments, const Date& date) {
  std::tm time{};
  time.tm_year = date.year - 1900;
  time.tm_mon = date.month - 1;
  time.tm_mday = date.day;
  time.tm_hour = date.hour;
  time.tm_min = date.minute;
  time.tm_isdst = -1;
  timegm(&time);  // sets the day of the week
  const Value expected = arguments.require(0, "format", "strftime_now");
  const std::string& format = expect_text(expected, "strftime_now").bytes();
  char buffer[512];
  // The size is 0 if the result does not fit or is empty.
  const size_t size = std::strftime(buffer, sizeof buffer, format.c_str(), &time);
  if (size == 0 && !format.empty()) throw TemplateError("strftime_now: '" + format + "' is too long");
  return text(std::string(buffer, size));
}

Value function(const std::string& name, std::function<Value(Arguments&)> call) {
  return Function{name, [name, call = std::move(call)](Arguments& arguments) {
                    Value value = call(arguments);
                    arguments.finish(name);
                    return value;
                  }};
}

}  // namespace

std::optional<Value> global(const std::string& name, const Date& now) {
  if (name == "range") return function(name, range);
  if (name == "dict") return function(name, [](Arguments& a) { return make_dict(a, Dict::Kind::kDict); });
  if (name == "namespace") return function(name, [](Arguments& a) { return make_dict(a, Dict::Kind::kNamespace); });
  if (name == "strftime_now") return function(name, [now](Arguments& a) { return strftime(a, now); });
  if (name == "raise_exception") {
    return function(name, [](Arguments& a) -> Value {
      throw TemplateError("the template says: " + to_text(a.require(0, "message", "raise_exception")).bytes());
    });
  }
  return {};
}

}  // namespace lora::jinja
