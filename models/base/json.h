#pragma once
// JSON text to values, for every reader of JSON. nlohmann parses any depth, but copies, prints and destroys values by
// recursion: a file that nests 100,000 deep would overflow the stack. So depth has a bound here. And nlohmann takes a NUL
// for the end of the text, so that what follows it would be lost without a word.

#include <cstdint>
#include <istream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lora {

// Arrays and objects within one another. Files that are in use have less than 20.
constexpr int kMaxJsonDepth = 200;

// The offset of the first bracket that nests deeper than kMaxJsonDepth. Linear in the text; `text` may be anything.
std::optional<size_t> too_deep_at(std::string_view text);

// Throws nlohmann's parse_error at the first NUL of the text.
void refuse_nul(std::string_view text);

// `Json` is nlohmann::json or nlohmann::ordered_json. Throws nlohmann's exceptions as Json::parse does, and its
// parse_error for text that nests deeper than kMaxJsonDepth or has a NUL.
template <typename Json>
Json parse_json(std::string_view text) {
  refuse_nul(text);
  if (const auto offset = too_deep_at(text)) {
    const std::string limit = "nested deeper than " + std::to_string(kMaxJsonDepth);
    throw nlohmann::detail::parse_error::create(101, *offset + 1, limit, nullptr);
  }
  return Json::parse(text);
}

// A value as an integer, for every reader of JSON that is not sure of its type: nlohmann's get() cuts fractions off and
// takes true for 1, and is undefined for a float64 beyond the integer's range. Throws nlohmann's type_error for anything
// but an integer in the range of `Integer`.
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

}  // namespace lora
