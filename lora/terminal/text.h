#pragma once
// Formats numbers and tables for people.

#include <cstdint>
#include <string>
#include <vector>

namespace lora {

std::string with_commas(int64_t value);             // 1,234,567
std::string as_bytes(int64_t bytes);                // 1.2 GB (powers of ten)
std::string as_duration(double seconds);            // 0:42, 1:02:03
std::string as_scientific(double value);            // 2.0e-04
std::string fixed(double value, int digits);        // 1.2346
std::string percent(double share, int digits = 1);  // 12.3 %

// A module's path without its layer number: "model.layers.3.mlp.up_proj" -> "model.layers.*.mlp.up_proj"
std::string kind_of(const std::string& path);

// The text in one line of at most `width` characters; line ends become ↵.
std::string one_line(const std::string& text, size_t width);

// Pads the columns to equal width, with two spaces between them and two in front. `right` selects the right-aligned
// columns. Widths count code points, which is enough for the text printed here.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right);

}  // namespace lora
