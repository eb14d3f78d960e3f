#pragma once
// What is done with a grammar when its schema has been read (json_grammar.cpp).

#include <string>
#include <vector>

#include "lora/inference/json_grammar.h"

namespace lora {

// The bits of JsonNode::types.
enum JsonType : unsigned {
  kNull = 1,
  kBoolean = 2,
  kNumbers = 4,
  kStrings = 8,
  kObjects = 16,
  kArrays = 32,
  kAll = 63
};
// Of a value as JSON.
JsonType type_of(const std::string& text);

// Adds to what was counted so far. Throws RecipeError above `most`.
void count_of_schema(size_t& so_far, size_t more, size_t most, const char* what);

// Afterwards no choice is among the alternatives of another. Throws RecipeError at a bound.
void flatten_choices(JsonGrammar& grammar);
// Afterwards a height above kMostJsonLevels stands for a value that cannot be.
void measure_heights(JsonGrammar& grammar);

// Tells of nodes of a flat grammar, which it borrows, that no value keeps to both. Where it cannot tell, one may.
class JsonExclusion {
 public:
  explicit JsonExclusion(const JsonGrammar& grammar) : nodes_(grammar) {}

  // Throws RecipeError at the bound on comparisons, which all calls share.
  bool exclude(size_t a, size_t b) { return exclude(a, b, /*within=*/true); }

 private:
  bool exclude(size_t a, size_t b, bool within);
  bool leaves_exclude(const JsonNode& a, const JsonNode& b, bool within);
  std::vector<size_t> leaves(size_t node) const;
  void compare(size_t count);

  const JsonGrammar& nodes_;
  size_t comparisons_ = 0;
};

}  // namespace lora
