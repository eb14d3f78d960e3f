#pragma once
// A JSON Schema as the values that a model may write: nodes that json_places.h walks byte by byte. Every value that is
// written keeps to the schema (draft 2020-12); not every value that keeps to it can be written:
//
//   - properties come in the schema's order, additional ones after them;
//   - additional properties come only where the schema has no properties, or `additionalProperties` asks for them;
//   - a keyword without `type` is about a value of its own type;
//   - a number with bounds has no exponent.
//
// Keywords: type, enum, const, properties, required, additionalProperties, items, minItems, maxItems, minLength,
// maxLength, minimum, maximum, exclusiveMinimum, exclusiveMaximum, anyOf, oneOf (of alternatives that exclude each other), allOf of one schema, $ref within the schema,
// $defs. Those that only describe (title, description, default, …) mean nothing here. Any other is refused.

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lora/inference/decimal_range.h"

namespace lora {

// Bounds on a schema, and on arrays and objects within one another in a value.
inline constexpr size_t kMostJsonNodes = 20'000, kMostJsonProperties = 5'000, kMostJsonTexts = 5'000;
inline constexpr size_t kMostJsonTextBytes = 1 << 20, kMostJsonAlternatives = 256, kMostJsonComparisons = 100'000;
inline constexpr int kMostJsonLevels = 64;
// Of an additional property, unless the object has longer names.
inline constexpr int64_t kMostJsonNameCharacters = 64;

struct JsonProperty {
  std::string key;  // as JSON, in quotes
  size_t value;     // a node
  bool required;
};

struct JsonNode {
  enum class Kind { kTexts, kString, kNumber, kObject, kArray, kChoice };
  Kind kind = Kind::kChoice;
  unsigned types = 0;              // the types of JSON that the schema allows here, as bits
  int height = 0;                  // arrays and objects within one another that a value has at least
  std::vector<std::string> texts;  // kTexts: values as JSON, sorted
  int64_t least = 0,
          most = std::numeric_limits<int64_t>::max();  // kString: characters; kArray: items; kObject: see JsonNames
  bool is_integer = false;                             // kNumber
  std::optional<DecimalRange> range;                   // kNumber: its bounds
  std::vector<JsonProperty> properties;                // kObject
  std::vector<size_t> by_key;                          // kObject: its properties, sorted by key
  std::vector<size_t>
      next_required;             // kObject, for 0 … properties: the first required one from there on, or their count
  std::optional<size_t> others;  // nodes: an array's items; an object's additional properties
  std::vector<size_t> alternatives;  // kChoice: nodes that are no choices
};

// The first node is the whole value.
using JsonGrammar = std::vector<JsonNode>;

// Throws RecipeError with the place in the schema and the keyword, or the bound.
JsonGrammar read_json_schema(const nlohmann::ordered_json& schema);
// Any object.
JsonGrammar any_json_object();

}  // namespace lora
