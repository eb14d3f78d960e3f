// A JSON Schema, a NUL, and a text. What the schema lets be written is JSON.

#include "lora/inference/json_places.h"
#include "models/base/json.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(json_answer) {
  const auto [file, text] = lora::test::split_input(input);
  nlohmann::ordered_json schema;
  try {
    schema = lora::parse_json<nlohmann::ordered_json>(file);
  } catch (const nlohmann::detail::exception&) {
    return;
  }
  const lora::JsonGrammar grammar = lora::read_json_schema(schema);
  const lora::JsonSteps steps(grammar);
  lora::JsonPlaces places = steps.begin(), next;
  size_t taken = 0;
  for (; taken < std::min<size_t>(text.size(), 2000); ++taken) {
    steps.take(places, static_cast<unsigned char>(text[taken]), next);
    if (next.size() > lora::kMostJsonPlaces) ::abort();
    if (next.empty()) break;
    std::swap(places, next);
  }
  // From where it stands something leads on, unless the value is whole.
  bool is_whole = false, leads_on = false;
  for (const lora::JsonPlace& place : places) is_whole |= place.stand == lora::JsonPlace::Stand::kWhole;
  for (int byte = 0; byte < 256; ++byte) {
    steps.take(places, static_cast<unsigned char>(byte), next);
    leads_on |= !next.empty();
  }
  if (!is_whole && !leads_on) ::abort();
  if (is_whole && lora::parse_json_or_discard<nlohmann::json>(text.substr(0, taken)).is_discarded()) ::abort();
}
