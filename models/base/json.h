#pragma once
// JSON text to values, for every reader of JSON. nlohmann's own parsers accept a key twice, take a NUL for the end of
// the text, take time that is quadratic in the keys of an ordered object, and parse any depth, while values are copied,
// printed and destroyed by recursion.

#include <cstdint>
#include <istream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lora {

// Arrays and objects within one another. Files that are in use have less than 20.
constexpr int kMaxJsonDepth = 200;

// `Json` is nlohmann::json or nlohmann::ordered_json. Linear in the text, but for sorting the keys of nlohmann::json.
// Throws nlohmann's exceptions as Json::parse does, and its other_error for an object with a key twice (readers
// disagree on which one counts) and for text that nests deeper than `max_depth`. A NUL in the text is a parse_error.
template <typename Json>
Json parse_json(std::string_view text, int max_depth = kMaxJsonDepth);
extern template nlohmann::json parse_json(std::string_view, int);
extern template nlohmann::ordered_json parse_json(std::string_view, int);

// A value as an integer, for every reader of JSON that is not sure of its type: nlohmann's get() cuts fractions off and
// takes true for 1, and is undefined for a float64 beyond the integer's range. Throws nlohmann's type_error for
// anything but an integer in the range of `Integer`.
template <typename Integer = int64_t, typename Json>
Integer integer_of(const Json& value) {
  const bool fits = value.is_number_unsigned()
                        ? std::in_range<Integer>(value.template get<uint64_t>())
                        : value.is_number_integer() && std::in_range<Integer>(value.template get<int64_t>());
  if (fits) return value.template get<Integer>();
  const std::string found = value.is_number() ? value.dump() : value.type_name();
  throw nlohmann::detail::type_error::create(302, "expected an integer, found " + found, &value);
}

// A list of such integers.
template <typename Json>
std::vector<int64_t> integers_of(const Json& list) {
  if (!list.is_array()) throw nlohmann::detail::type_error::create(302, "expected a list of integers", &list);
  std::vector<int64_t> integers;
  for (const Json& value : list) integers.push_back(integer_of(value));
  return integers;
}

// The whole rest of the stream.
template <typename Json>
Json parse_json(std::istream& in) {
  return parse_json<Json>(std::string(std::istreambuf_iterator<char>(in), {}));
}

// A discarded value (Json::is_discarded) where parse_json throws.
template <typename Json, typename Source>
Json parse_json_or_discard(Source&& source) {
  try {
    return parse_json<Json>(source);
  } catch (const nlohmann::detail::exception&) {
    return Json(nlohmann::detail::value_t::discarded);
  }
}

// The message of parse_json's other_error, without its prefix.
std::string json_problem(const nlohmann::json::other_error& error);

}  // namespace lora
