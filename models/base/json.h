#pragma once
// JSON text to values, for every reader of JSON. nlohmann's own parsers accept a key twice, take time that is quadratic
// in the keys of an ordered object, and parse any depth, while values are copied, printed and destroyed by recursion.

#include <istream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lora {

// Arrays and objects within one another. Files that are in use have less than 20.
constexpr int kMaxJsonDepth = 200;

// `Json` is nlohmann::json or nlohmann::ordered_json. Linear in the text, but for sorting the keys of nlohmann::json.
// Throws nlohmann's exceptions as Json::parse does, and its other_error for an object with a key twice (readers disagree
// on which one counts) and for text that nests deeper than `max_depth`.
template <typename Json>
Json parse_json(std::string_view text, int max_depth = kMaxJsonDepth);
extern template nlohmann::json parse_json(std::string_view, int);
extern template nlohmann::ordered_json parse_json(std::string_view, int);

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
