#include "lora/inference/decimal_range.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace lora {
namespace {

using Units = DecimalUnits;

constexpr int64_t power_of_ten(int exponent) {
  int64_t power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

constexpr int64_t kOne = power_of_ten(kMostDecimalDigits);  // units of the number 1

// A bound in units, rounded towards the range: `up` for the lower one.
Units units_of(double bound, bool up) {
  const auto limit = static_cast<double>(kOne);
  if (std::fabs(bound) >= limit) return static_cast<Units>(bound < 0 ? -kOne : kOne) * kOne;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", kMostDecimalDigits, bound);
  Units units = 0;
  for (const char* c = text; *c; ++c) {
    if (*c >= '0' && *c <= '9') units = units * 10 + (*c - '0');
  }
  if (text[0] == '-') units = -units;
  // The text is the nearest one. What readers make of it must not be on the other side of the bound.
  const double read = std::strtod(text, nullptr);
  if (up && read < bound) ++units;
  if (!up && read > bound) --units;
  return units;
}

Units whole_at_least(Units units) {
  const Units rest = units % kOne;
  return units - rest + (rest > 0 ? kOne : 0);
}

}  // namespace

DecimalRange::DecimalRange(double least, double most, bool is_integer)
    : least_(units_of(least, true)), most_(units_of(most, false)), is_integer_(is_integer) {
  if (is_integer) {
    least_ = whole_at_least(least_);
    most_ = -whole_at_least(-most_);
  }
  // Beyond the digits that are written there is nothing.
  const Units beyond = static_cast<Units>(kOne) * kOne;
  if (least_ <= -beyond) least_ = -beyond + 1;
  if (most_ >= beyond) most_ = beyond - 1;
}

Units DecimalRange::value_of(const DecimalStart& number) {
  return static_cast<Units>(number.whole) * kOne +
         static_cast<Units>(number.fraction) * power_of_ten(kMostDecimalDigits - number.fraction_digits);
}

bool DecimalRange::meets(bool is_negative, Units first, Units last) const {
  return is_negative ? least_ <= -first && -last <= most_ : least_ <= last && first <= most_;
}

bool DecimalRange::contains(const DecimalStart& number) const {
  const Units value = value_of(number);
  return meets(number.is_negative, value, value);
}

bool DecimalRange::more_whole(const DecimalStart& number) const {
  // Behind the sign anything may come, and behind a zero nothing.
  if (number.whole_digits == 0) return meets(number.is_negative, 0, static_cast<Units>(kOne) * kOne);
  if (number.whole == 0) return false;
  const Units last = is_integer_ ? kOne : 1;
  for (int more = 1; number.whole_digits + more <= kMostDecimalDigits; ++more) {
    const Units step = static_cast<Units>(power_of_ten(more)) * kOne, first = number.whole * step;
    if (meets(number.is_negative, first, first + step - last)) return true;
  }
  return false;
}

bool DecimalRange::more_fraction(const DecimalStart& number) const {
  if (is_integer_ || number.fraction_digits == kMostDecimalDigits) return false;
  const Units first = value_of(number);
  return meets(number.is_negative, first, first + power_of_ten(kMostDecimalDigits - number.fraction_digits) - 1);
}

}  // namespace lora
