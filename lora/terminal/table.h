#pragma once
// Tables for people, which fit the terminal.

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace lora {

struct TextTable {
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> right;                           // the right-aligned columns: numbers, which are never cut
  bool head = true;                                  // the first row is the titles of the columns
  bool names = false;                                // the first column is what the others are of
  std::vector<std::pair<size_t, size_t>> best = {};  // row and column of cells that are the best of their column
};

bool is_best(const TextTable& content, size_t row, size_t column);

// How wide a table may be: as the terminal, or 100 columns where there is none.
int table_width();

// Pads the columns to equal width, with two spaces between them and two in front. Where the table would be wider than
// `width` columns, cells of its widest left-aligned columns go on in lines below, as long as they stay legible. Where
// that is not enough, each row is a block: its name, and below it the titles with their values. 0: it may be as wide as
// it is. A best cell has a "*" in front, which a line below explains.
std::string table(const TextTable& content, int width);
// The same for standard output: as wide as that, with titles and names dim where it has colours; a best cell then has a
// colour in place of the "*".
std::string table(const TextTable& content);
inline std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right) {
  return table({rows, right});
}
// The same without titles.
inline std::string plain_table(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right) {
  return table({rows, right, /*head=*/false});
}
// Rows of a name and texts about it. Off a terminal each is one line, for grep.
std::string named_rows(const std::vector<std::vector<std::string>>& rows);

// The text in lines of at most `width` columns, each ended, with `indent` spaces in front.
std::string indented(const std::string& text, size_t indent, int width = table_width());

}  // namespace lora
