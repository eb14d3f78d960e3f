#pragma once
// Formats numbers and short texts for people.

#include <cstdint>
#include <string>
#include <vector>

#include "lora/terminal/columns.h"

namespace lora {

std::string with_commas(int64_t value);   // 1,234,567
std::string as_bytes(int64_t bytes);      // 1.2 GB (powers of ten)
std::string as_duration(double seconds);  // 0:42, 1:02:03
// The same; of more than a day with when that is: "30:05:00 (Tue 14:20)".
std::string as_remaining(double seconds);
std::string as_scientific(double value);            // 2.0e-04
std::string fixed(double value, int digits);        // 1.2346
std::string percent(double share, int digits = 1);  // 12.3 %

// A module's path without its layer number: "model.layers.3.mlp.up_proj" -> "model.layers.*.mlp.up_proj"
std::string kind_of(const std::string& path);

// Draws the values as a row of at most `width` bars. Each bar is the mean of its section of the values.
std::string sparkline(const std::vector<double>& values, size_t width);

// The text in one line of at most `width` columns, and "…" where it is longer; line ends become ↵, and other characters
// that a terminal acts on become spaces.
std::string one_line(const std::string& text, size_t width);

// The text with a space in place of each character that a terminal acts on, but for line ends, and U+FFFD in place of
// what is not UTF-8: for messages, which have names and values from files of strangers in them.
std::string harmless(const std::string& text);

// The text, or where it has more than `most` bytes its first three quarters of so many and its last, with the number of
// bytes that are left out between the two: an error ends with its hint.
std::string without_middle(const std::string& text, size_t most);

// The lines of the text, harmless, in pieces of at most `width` columns (at least 2), cut at a space where there is one in the
// last two thirds, or else behind a slash, or another mark between words.
std::vector<std::string> folded(const std::string& text, size_t width);

}  // namespace lora
