#pragma once
// JSON text to values, for every reader of JSON. nlohmann parses any depth, but copies, prints and destroys values by
// recursion: a file that nests 100,000 deep would overflow the stack. So depth has a bound here.

#include <istream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace lora {

// Arrays and objects within one another. Files that are in use have less than 20.
constexpr int kMaxJsonDepth = 200;

// The offset of the first bracket that nests deeper than kMaxJsonDepth. Linear in the text; `text` may be anything.
std::optional<size_t> too_deep_at(std::string_view text);

// `Json` is nlohmann::json or nlohmann::ordered_json. Throws nlohmann's exceptions as Json::parse does, and its
// parse_error for text that nests deeper than kMaxJsonDepth.
template <typename Json>
Json parse_json(std::string_view text) {
  if (const auto offset = too_deep_at(text)) {
    const std::string limit = "nested deeper than " + std::to_string(kMaxJsonDepth);
    throw nlohmann::detail::parse_error::create(101, *offset + 1, limit, nullptr);
  }
  return Json::parse(text);
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
