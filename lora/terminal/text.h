#pragma once
// Formats numbers and tables for people.

#include <cstdint>
#include <string>
#include <vector>

#include "lora/terminal/console.h"

namespace lora {

std::string with_commas(int64_t value);             // 1,234,567
std::string as_bytes(int64_t bytes);                // 1.2 GB (powers of ten)
std::string as_duration(double seconds);            // 0:42, 1:02:03
std::string as_scientific(double value);            // 2.0e-04
std::string fixed(double value, int digits);        // 1.2346
std::string percent(double share, int digits = 1);  // 12.3 %

// A module's path without its layer number: "model.layers.3.mlp.up_proj" -> "model.layers.*.mlp.up_proj"
std::string kind_of(const std::string& path);

// How many columns the text takes, as far as that is its code points.
size_t width_of(const std::string& text);

// Draws the values as a row of at most `width` bars. Each bar is the mean of its section of the values.
std::string sparkline(const std::vector<double>& values, size_t width);

// The text in one line of at most `width` characters; line ends become ↵.
std::string one_line(const std::string& text, size_t width);

// The first row is the head, where there is one. `right`: the right-aligned columns.
struct TextTable {
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> right;
};

// Pads the columns to equal width, with two spaces between them and two in front. `right` selects the right-aligned
// columns. Widths count code points, which is enough for the text printed here. Where the table would be wider than
// `width` columns, cells of its widest left-aligned columns go on in lines below; 0: it may be as wide as it is.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right,
                  int width = console().width);
inline std::string table(const TextTable& content) { return table(content.rows, content.right); }

}  // namespace lora
