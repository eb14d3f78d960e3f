#pragma once
// The decimal numbers between two bounds, and which beginnings of a number can go on to one of them.

#include <cstdint>

namespace lora {

// Digits before and behind the point.
inline constexpr int kMostDecimalDigits = 15;

// A number as far as it is written, without an exponent.
struct DecimalStart {
  bool is_negative = false;
  int whole_digits = 0, fraction_digits = 0;  // written, at most kMostDecimalDigits each
  int64_t whole = 0, fraction = 0;            // the digits before, and behind the point

  void take_whole(int digit) { whole = whole * 10 + digit, ++whole_digits; }
  void take_fraction(int digit) { fraction = fraction * 10 + digit, ++fraction_digits; }
  bool operator==(const DecimalStart&) const = default;
};

// Of 10^-15 each: exact for all that is written.
__extension__ typedef __int128 DecimalUnits;

class DecimalRange {
 public:
  // [least, most] of the doubles that readers make of the texts. is_integer: whole numbers alone.
  DecimalRange(double least, double most, bool is_integer);

  // No number of so many digits is between the bounds.
  bool is_empty() const { return least_ > most_; }
  // The number may end here.
  bool contains(const DecimalStart& number) const;
  // More digits make a number between the bounds: before the point, or behind it (the point may be written or not).
  bool more_whole(const DecimalStart& number) const;
  bool more_fraction(const DecimalStart& number) const;

 private:
  static DecimalUnits value_of(const DecimalStart& number);
  // Whether a number from `first` to `last`, or of that magnitude below zero, is in the range.
  bool meets(bool is_negative, DecimalUnits first, DecimalUnits last) const;

  DecimalUnits least_, most_;
  bool is_integer_;
};

}  // namespace lora
