#pragma once
// Where a JSON value stands that is written byte by byte: the places in a grammar that its text may have come to, each
// with the arrays and objects around it. A text that is taken can always go on to a whole value.
//
// A space may follow a comma and a colon; there is no other white space. Numbers have at most 15 digits before the
// point and after it, and two in the exponent, so that any reader takes them; with bounds they have no exponent. Names of additional properties have at
// most 64 characters (one more than the longest name, where the object has longer ones) and no escapes, differ from the
// others, and are at most 256 in an object.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lora/inference/decimal_range.h"
#include "lora/inference/json_characters.h"
#include "lora/inference/json_grammar.h"

namespace lora {

// Of more ways to read a text than this, the first go on.
inline constexpr size_t kMostJsonPlaces = 256;
// Additional properties of an object.
inline constexpr size_t kMostJsonNames = 256;

// The names of additional properties that an object has, the last first.
struct JsonNames {
  std::string name;
  int64_t most;  // characters of it: more than any other name has, so that its end is not refused for being one of them
  size_t count;  // with those before
  std::shared_ptr<const JsonNames> before;
};

struct JsonPlace {
  enum class Stand : uint8_t {
    kWhole,  // the value is written
    kBegin,  // the first byte is next
    kText,
    kString,
    kNumber,
    kFirst,
    kKey,
    kOtherKey,
    kColon,
    kBeforeValue,
    kValue,
    kAfterValue,
    kBeforeNext,
    kNext
  };
  const JsonNode* node = nullptr;
  Stand stand = Stand::kWhole;
  JsonCharacter character = JsonCharacter::kNone;
  uint8_t number = 0;                  // the part of a number
  DecimalStart decimal;                // a number with bounds, as far as it is written
  int16_t level = 0;                   // arrays and objects around it
  uint32_t low = 0, high = 0, at = 0;  // texts or keys that begin like what is written, and how much that is
  int64_t count = 0;                   // characters, digits, items; of an object, the first property that may come next
  std::shared_ptr<const JsonNames> names;
  std::shared_ptr<const JsonPlace> around;  // stands behind this value
  uint64_t hash = 0;                        // of all
};

using JsonPlaces = std::vector<JsonPlace>;

// Takes places by a byte. Borrows the grammar.
class JsonSteps {
 public:
  explicit JsonSteps(const JsonGrammar& grammar) : grammar_(grammar) {}

  JsonPlaces begin() const;
  // `to`: where the byte leads, other than `from`; empty where it cannot come.
  void take(const JsonPlaces& from, unsigned char byte, JsonPlaces& to) const;

 private:
  void step(const JsonPlace& from, unsigned char byte, JsonPlaces& to) const;
  void begin_value(size_t node, int16_t level, const std::shared_ptr<const JsonPlace>& around, unsigned char byte,
                   JsonPlaces& to) const;
  void in_text(JsonPlace place, unsigned char byte, JsonPlaces& to) const;
  void in_string(JsonPlace place, unsigned char byte, JsonPlaces& to) const;
  void in_number(JsonPlace place, unsigned char byte, JsonPlaces& to) const;
  void in_bounded_number(JsonPlace place, unsigned char byte, JsonPlaces& to) const;
  void in_array(const JsonPlace& from, unsigned char byte, JsonPlaces& to) const;
  void in_object(const JsonPlace& from, unsigned char byte, JsonPlaces& to) const;
  void in_key(JsonPlace place, unsigned char byte, JsonPlaces& to) const;
  void in_other_key(JsonPlace place, unsigned char byte, JsonPlaces& to) const;
  void begin_key(const JsonPlace& from, JsonPlaces& to) const;
  void item(const JsonPlace& from, unsigned char byte, JsonPlaces& to) const;
  void property(const JsonPlace& from, unsigned char byte, JsonPlaces& to) const;
  bool fits(size_t node, int level) const { return level + grammar_[node].height <= kMostJsonLevels; }
  bool may_name(const JsonPlace& place, size_t property) const;
  bool has_named(const JsonPlace& place) const;
  bool has_other(const JsonPlace& place) const;

  const JsonGrammar& grammar_;
};

}  // namespace lora
