#include "lora/inference/json_places.h"

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

namespace lora {
namespace {

using Kind = JsonNode::Kind;
using Stand = JsonPlace::Stand;
using At = JsonCharacter;

constexpr int64_t kMostExponentDigits = 2;

// The parts of a number.
enum NumberPart : uint8_t { kSign, kMinus, kZero, kDigits, kPoint, kFraction, kE, kExponentSign, kExponent };

bool is_digit(unsigned char byte) { return byte >= '0' && byte <= '9'; }

void mix(uint64_t& hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
  hash ^= hash >> 32;
}

uint64_t hash_of(const JsonPlace& place) {
  uint64_t hash = reinterpret_cast<uintptr_t>(place.node);
  mix(hash, static_cast<uint64_t>(place.stand) << 32 | static_cast<uint64_t>(place.character) << 16 | place.number);
  mix(hash, static_cast<uint64_t>(place.low) << 32 | place.high);
  mix(hash, static_cast<uint64_t>(place.at) << 32 | static_cast<uint64_t>(place.level));
  mix(hash, static_cast<uint64_t>(place.count));
  mix(hash, static_cast<uint64_t>(place.decimal.whole));
  mix(hash, static_cast<uint64_t>(place.decimal.fraction));
  mix(hash, place.around ? place.around->hash : 0);
  for (const JsonNames* one = place.names.get(); one; one = one->before.get())
    mix(hash, std::hash<std::string>()(one->name));
  return hash;
}

bool same_names(const JsonNames* a, const JsonNames* b) {
  for (; a != b; a = a->before.get(), b = b->before.get()) {
    if (!a || !b || a->name != b->name) return false;
  }
  return true;
}

bool is_same(const JsonPlace* a, const JsonPlace* b) {
  for (; a != b; a = a->around.get(), b = b->around.get()) {
    if (!a || !b || a->hash != b->hash) return false;
    const auto values = [](const JsonPlace& p) {
      return std::tuple(p.node, p.stand, p.character, p.number, p.decimal, p.level, p.low, p.high, p.at, p.count);
    };
    if (values(*a) != values(*b) || !same_names(a->names.get(), b->names.get())) return false;
  }
  return true;
}

void put(JsonPlace place, JsonPlaces& to) {
  if (to.size() == kMostJsonPlaces) return;
  place.hash = hash_of(place);
  if (std::ranges::none_of(to, [&](const JsonPlace& one) { return is_same(&one, &place); }))
    to.push_back(std::move(place));
}

int64_t characters_in(const std::string& name) {  // its quotes apart
  return std::ranges::count_if(name, [](char c) { return (c & 0xC0) != 0x80; }) - 2;
}

// The value at this place is written.
void leave(const JsonPlace& place, JsonPlaces& to) { put(place.around ? *place.around : JsonPlace(), to); }

JsonPlace at_stand(JsonPlace place, Stand stand) {
  place.stand = stand;
  return place;
}

// Narrows [low, high) of sorted texts, which begin alike, to those that have `byte` at `at`.
template <class Text>
void narrow(JsonPlace& place, unsigned char byte, Text text) {
  const auto byte_of = [&](uint32_t i) {
    const std::string& one = text(i);
    return place.at < one.size() ? static_cast<unsigned char>(one[place.at]) : -1;
  };
  const auto first = [&](int least) {
    uint32_t low = place.low, high = place.high;
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      (byte_of(middle) < least ? low : high) = byte_of(middle) < least ? middle + 1 : middle;
    }
    return low;
  };
  const uint32_t low = first(byte), high = first(byte + 1);
  place.low = low;
  place.high = high;
  ++place.at;
}

}  // namespace

JsonPlaces JsonSteps::begin() const {
  JsonPlace place;
  place.node = &grammar_.front();
  place.stand = Stand::kBegin;
  return {place};
}

void JsonSteps::take(const JsonPlaces& from, unsigned char byte, JsonPlaces& to) const {
  to.clear();
  for (const JsonPlace& one : from) step(one, byte, to);
}

void JsonSteps::step(const JsonPlace& from, unsigned char byte, JsonPlaces& to) const {
  switch (from.stand) {
    case Stand::kWhole:
      return;
    case Stand::kBegin:
      return begin_value(0, 0, nullptr, byte, to);
    case Stand::kText:
      return in_text(from, byte, to);
    case Stand::kString:
      return in_string(from, byte, to);
    case Stand::kNumber:
      return in_number(from, byte, to);
    default:
      return from.node->kind == Kind::kArray ? in_array(from, byte, to) : in_object(from, byte, to);
  }
}

void JsonSteps::begin_value(size_t index, int16_t level, const std::shared_ptr<const JsonPlace>& around,
                            unsigned char byte, JsonPlaces& to) const {
  const JsonNode& node = grammar_[index];
  if (node.kind == Kind::kChoice) {
    for (const size_t one : node.alternatives) begin_value(one, level, around, byte, to);
    return;
  }
  if (!fits(index, level)) return;
  JsonPlace place;
  place.node = &node;
  place.level = level;
  place.around = around;
  switch (node.kind) {
    case Kind::kTexts:
      place.stand = Stand::kText;
      place.high = static_cast<uint32_t>(node.texts.size());
      return in_text(std::move(place), byte, to);
    case Kind::kNumber:
      place.stand = Stand::kNumber;
      place.number = kSign;
      return in_number(std::move(place), byte, to);
    case Kind::kString:
      if (byte == '"') put(at_stand(std::move(place), Stand::kString), to);
      return;
    default:
      const unsigned char opens = node.kind == Kind::kArray ? '[' : '{';
      if (byte == opens) put(at_stand(std::move(place), Stand::kFirst), to);
  }
}

void JsonSteps::in_text(JsonPlace place, unsigned char byte, JsonPlaces& to) const {
  const std::vector<std::string>& texts = place.node->texts;
  narrow(place, byte, [&](uint32_t i) -> const std::string& { return texts[i]; });
  if (place.low == place.high) return;
  if (texts[place.low].size() == place.at) leave(place, to);
  if (texts[place.high - 1].size() > place.at) put(std::move(place), to);
}

void JsonSteps::in_string(JsonPlace place, unsigned char byte, JsonPlaces& to) const {
  const bool begins = place.character == At::kNone && byte != '"';
  place.character = next_in_string(place.character, byte);
  if (place.character == At::kWrong) return;
  if (place.character == At::kClosed) {
    if (place.count >= place.node->least) leave(place, to);
    return;
  }
  if (begins && ++place.count > place.node->most) return;
  put(std::move(place), to);
}

void JsonSteps::in_number(JsonPlace place, unsigned char byte, JsonPlaces& to) const {
  if (place.node->range) return in_bounded_number(std::move(place), byte, to);
  const auto go = [&](NumberPart part, int64_t most) {
    place.count = part == place.number ? place.count + 1 : 1;
    if (place.count > most) return false;
    place.number = part;
    return true;
  };
  const bool whole = place.node->is_integer;
  const bool begins_exponent = !whole && (byte | 0x20) == 'e';
  bool taken = false;
  switch (place.number) {
    case kSign:
    case kMinus:
      if (byte == '-' && place.number == kSign) {
        taken = go(kMinus, 1);
      } else if (is_digit(byte)) {
        taken = go(byte == '0' ? kZero : kDigits, kMostDecimalDigits);
      }
      break;
    case kZero:
    case kDigits:
      if (is_digit(byte) && place.number == kDigits) {
        taken = go(kDigits, kMostDecimalDigits);
      } else if (byte == '.' && !whole) {
        taken = go(kPoint, 1);
      } else if (begins_exponent) {
        taken = go(kE, 1);
      }
      break;
    case kPoint:
    case kFraction:
      if (is_digit(byte)) {
        taken = go(kFraction, kMostDecimalDigits);
      } else if (begins_exponent && place.number == kFraction) {
        taken = go(kE, 1);
      }
      break;
    case kE:
      if (byte == '-' || byte == '+') {
        taken = go(kExponentSign, 1);
        break;
      }
      [[fallthrough]];
    default:
      if (is_digit(byte)) taken = go(kExponent, kMostExponentDigits);
  }
  if (!taken) return;
  const bool is_number =
      place.number == kZero || place.number == kDigits || place.number == kFraction || place.number == kExponent;
  if (is_number) leave(place, to);
  const bool is_full = place.number == kExponent
                           ? place.count == kMostExponentDigits
                           : whole && (place.number == kZero || place.count == kMostDecimalDigits);
  if (!is_full) put(std::move(place), to);
}

void JsonSteps::in_bounded_number(JsonPlace place, unsigned char byte, JsonPlaces& to) const {
  const DecimalRange& range = *place.node->range;
  DecimalStart& number = place.decimal;
  const auto is_behind_point = [&] { return place.number == kPoint || place.number == kFraction; };
  const bool is_zero = number.whole_digits > 0 && number.whole == 0;
  if (byte == '-' && place.number == kSign) {
    place.number = kMinus;
    number.is_negative = true;
  } else if (byte == '.' && place.number == kDigits) {
    place.number = kPoint;
  } else if (is_digit(byte) && is_behind_point() && number.fraction_digits < kMostDecimalDigits) {
    place.number = kFraction;
    number.take_fraction(byte - '0');
  } else if (is_digit(byte) && !is_behind_point() && !is_zero && number.whole_digits < kMostDecimalDigits) {
    place.number = kDigits;
    number.take_whole(byte - '0');
  } else {
    return;
  }
  const bool is_number = place.number == kDigits || place.number == kFraction;
  if (is_number && range.contains(number)) leave(place, to);
  const bool goes_on =
      (!is_behind_point() && range.more_whole(number)) || (place.number != kMinus && range.more_fraction(number));
  if (goes_on) put(std::move(place), to);
}

void JsonSteps::in_array(const JsonPlace& from, unsigned char byte, JsonPlaces& to) const {
  const JsonNode& node = *from.node;
  switch (from.stand) {
    case Stand::kFirst:
      return byte == ']' && node.least == 0 ? leave(from, to) : item(from, byte, to);
    case Stand::kAfterValue:
      if (byte == ']' && from.count >= node.least) leave(from, to);
      if (byte == ',' && from.count < node.most && fits(*node.others, from.level + 1)) {
        put(at_stand(from, Stand::kBeforeNext), to);
      }
      return;
    case Stand::kBeforeNext:
      if (byte == ' ') return put(at_stand(from, Stand::kNext), to);
      [[fallthrough]];
    default:
      item(from, byte, to);
  }
}

void JsonSteps::item(const JsonPlace& from, unsigned char byte, JsonPlaces& to) const {
  if (from.count == from.node->most) return;
  JsonPlace behind = at_stand(from, Stand::kAfterValue);
  ++behind.count;
  behind.hash = hash_of(behind);
  begin_value(*from.node->others, static_cast<int16_t>(from.level + 1),
              std::make_shared<const JsonPlace>(std::move(behind)), byte, to);
}

void JsonSteps::in_object(const JsonPlace& from, unsigned char byte, JsonPlaces& to) const {
  const JsonNode& node = *from.node;
  const bool may_end = node.next_required[static_cast<size_t>(from.count)] == node.properties.size();
  switch (from.stand) {
    case Stand::kFirst:
      if (byte == '}' && may_end) leave(from, to);
      if (byte == '"') begin_key(from, to);
      return;
    case Stand::kAfterValue:
      if (byte == '}' && may_end) leave(from, to);
      if (byte == ',' && (has_named(from) || has_other(from))) put(at_stand(from, Stand::kBeforeNext), to);
      return;
    case Stand::kBeforeNext:
    case Stand::kNext:
      if (byte == ' ' && from.stand == Stand::kBeforeNext) put(at_stand(from, Stand::kNext), to);
      if (byte == '"') begin_key(from, to);
      return;
    case Stand::kKey:
      return in_key(from, byte, to);
    case Stand::kOtherKey:
      return in_other_key(from, byte, to);
    case Stand::kColon:
      if (byte == ':') put(at_stand(from, Stand::kBeforeValue), to);
      return;
    case Stand::kBeforeValue:
      if (byte == ' ') return put(at_stand(from, Stand::kValue), to);
      [[fallthrough]];
    default:
      property(from, byte, to);
  }
}

// Whether this property may be the next: none that is required lies between.
bool JsonSteps::may_name(const JsonPlace& place, size_t property) const {
  const auto next = static_cast<size_t>(place.count);
  return property >= next && property <= place.node->next_required[next] &&
         fits(place.node->properties[property].value, place.level + 1);
}

bool JsonSteps::has_named(const JsonPlace& place) const {
  for (size_t i = static_cast<size_t>(place.count); i < place.node->properties.size(); ++i) {
    if (may_name(place, i)) return true;
    if (place.node->properties[i].required) return false;
  }
  return false;
}

bool JsonSteps::has_other(const JsonPlace& place) const {
  const JsonNode& node = *place.node;
  return node.others && node.next_required[static_cast<size_t>(place.count)] == node.properties.size() &&
         fits(*node.others, place.level + 1) && (!place.names || place.names->count < kMostJsonNames);
}

void JsonSteps::begin_key(const JsonPlace& from, JsonPlaces& to) const {
  if (has_named(from)) {
    JsonPlace place = at_stand(from, Stand::kKey);
    place.low = 0;
    place.high = static_cast<uint32_t>(from.node->properties.size());
    place.at = 1;
    put(std::move(place), to);
  }
  if (has_other(from)) {
    JsonPlace place = at_stand(from, Stand::kOtherKey);
    place.character = At::kNone;
    place.at = 0;
    JsonNames name{"\"", from.node->most, 1, from.names};
    if (const JsonNames* last = from.names.get()) {
      name.most = std::max(last->most, characters_in(last->name) + 1);
      name.count = last->count + 1;
    }
    place.names = std::make_shared<const JsonNames>(std::move(name));
    put(std::move(place), to);
  }
}

void JsonSteps::in_key(JsonPlace place, unsigned char byte, JsonPlaces& to) const {
  const JsonNode& node = *place.node;
  narrow(place, byte, [&](uint32_t i) -> const std::string& { return node.properties[node.by_key[i]].key; });
  bool may_come = false;
  for (uint32_t i = place.low; i < place.high && !may_come; ++i) may_come = may_name(place, node.by_key[i]);
  if (!may_come) return;
  const size_t property = node.by_key[place.low];
  if (node.properties[property].key.size() == place.at) {  // no key goes on behind its closing quote
    place.stand = Stand::kColon;
    place.count = static_cast<int64_t>(property);
    place.low = place.high = place.at = 0;
  }
  put(std::move(place), to);
}

void JsonSteps::in_other_key(JsonPlace place, unsigned char byte, JsonPlaces& to) const {
  const bool begins = place.character == At::kNone && byte != '"';
  place.character = next_in_string(place.character, byte);
  if (place.character == At::kWrong || place.character == At::kEscape) return;
  if (begins && ++place.at > place.names->most) return;
  JsonNames written = *place.names;
  written.name += static_cast<char>(byte);
  if (place.character == At::kClosed) {
    for (const JsonNames* one = written.before.get(); one; one = one->before.get()) {
      if (one->name == written.name) return;
    }
    const JsonNode& node = *place.node;
    const auto key = [&](size_t i) -> const std::string& { return node.properties[i].key; };
    if (std::ranges::binary_search(node.by_key, written.name, {}, key)) return;
    place.stand = Stand::kColon;
    place.character = At::kNone;
    place.count = static_cast<int64_t>(node.properties.size());
    place.at = 0;
  }
  place.names = std::make_shared<const JsonNames>(std::move(written));
  put(std::move(place), to);
}

// The value of the property `from.count`, or of an additional one.
void JsonSteps::property(const JsonPlace& from, unsigned char byte, JsonPlaces& to) const {
  const JsonNode& node = *from.node;
  const auto index = static_cast<size_t>(from.count);
  const bool is_named = index < node.properties.size();
  JsonPlace behind = at_stand(from, Stand::kAfterValue);
  if (is_named) ++behind.count;
  behind.hash = hash_of(behind);
  begin_value(is_named ? node.properties[index].value : *node.others, static_cast<int16_t>(from.level + 1),
              std::make_shared<const JsonPlace>(std::move(behind)), byte, to);
}

}  // namespace lora
