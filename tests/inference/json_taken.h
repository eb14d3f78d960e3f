#pragma once
// How far a text is a value of a schema.

#include <algorithm>
#include <string>

#include "lora/inference/json_grammar.h"
#include "lora/inference/json_places.h"
#include "models/base/json.h"

namespace lora::test {

inline JsonGrammar grammar_of(const std::string& schema) {
  return read_json_schema(parse_json<nlohmann::ordered_json>(schema));
}

enum class Taken { kNo, kBegun, kWhole, kOver };

inline Taken taken(const JsonGrammar& grammar, const std::string& text) {
  const JsonSteps steps(grammar);
  JsonPlaces places = steps.begin(), next;
  for (const char c : text) {
    steps.take(places, static_cast<unsigned char>(c), next);
    std::swap(places, next);
    if (places.empty()) return Taken::kNo;
  }
  const auto is_whole = [](const JsonPlace& place) { return place.stand == JsonPlace::Stand::kWhole; };
  if (std::ranges::none_of(places, is_whole)) return Taken::kBegun;
  return places.size() == 1 ? Taken::kOver : Taken::kWhole;
}

inline bool is_taken(const JsonGrammar& grammar, const std::string& text) {
  return taken(grammar, text) >= Taken::kWhole;
}

}  // namespace lora::test
