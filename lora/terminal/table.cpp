#include "lora/terminal/table.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "lora/terminal/console.h"
#include "lora/terminal/style.h"
#include "lora/terminal/text.h"
#include "models/base/numbers.h"

namespace lora {
namespace {

using Row = std::vector<std::string>;

constexpr size_t kLegible = 12;  // columns of a cell that is folded

// The widest word that is a number, or 0.
size_t widest_number(const std::string& text) {
  size_t widest = 0;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const bool is_number =
        word.find_first_of("0123456789") != word.npos && word.find_first_not_of("0123456789.,+-eE%:") == word.npos;
    if (is_number) widest = std::max(widest, word.size());
  }
  return widest;
}

// Of the columns, as far as they fit `width`; empty where they do not.
std::vector<size_t> column_widths(const TextTable& content, size_t width) {
  const size_t columns = content.right.size();
  std::vector<size_t> widths(columns, 0), least(columns, 0);
  for (const Row& row : content.rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const size_t whole = width_of(row[i]);
      widths[i] = std::max(widths[i], whole);
      least[i] = std::max(least[i], content.right[i] ? whole : std::max(kLegible, widest_number(row[i])));
    }
  }
  size_t used = std::accumulate(widths.begin(), widths.end(), 2 * columns);
  // A column of text gives way, the widest first.
  for (; used > width; --used) {
    size_t widest = columns;
    for (size_t i = 0; i < columns; ++i) {
      if (widths[i] > least[i] && (widest == columns || widths[i] > widths[widest])) widest = i;
    }
    if (widest == columns) return {};
    --widths[widest];
  }
  return widths;
}

std::string grid(const TextTable& content, const std::vector<size_t>& widths, bool colour) {
  std::string text;
  for (size_t r = 0; r < content.rows.size(); ++r) {
    const Row& row = content.rows[r];
    const bool is_head = content.head && r == 0;
    std::vector<std::vector<std::string>> cells;
    size_t height = 1;
    for (size_t i = 0; i < row.size(); ++i) {
      cells.push_back(folded(row[i], std::max<size_t>(widths[i], 2)));
      height = std::max(height, cells.back().size());
    }
    for (size_t part = 0; part < height; ++part) {
      std::string line;
      for (size_t i = 0; i < row.size(); ++i) {
        const std::string cell = part < cells[i].size() ? cells[i][part] : "";
        const std::string padding(widths[i] - std::min(widths[i], width_of(cell)), ' ');
        const bool best = is_best(content, r, i), is_name = content.names && !is_head && i == 0;
        const std::string shown = styled(cell, best ? Style::kBest : Style::kDim, colour && (best || is_name));
        line += "  " + (content.right[i] ? padding + shown : shown + padding);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += styled(line, Style::kDim, colour && is_head) + "\n";
    }
  }
  return text;
}

// The cells from `first` to `end`, without the empty ones.
std::string joined_cells(const Row& row, size_t first, size_t end) {
  std::string text;
  for (size_t i = first; i < std::min(end, row.size()); ++i) {
    if (!row[i].empty()) text += (text.empty() ? "" : "  ") + row[i];
  }
  return text;
}

// The lines of a text, each in that style.
std::string styled_lines(const std::string& lines, Style style, bool colour) {
  std::string text;
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = lines.find('\n', begin);
    text += styled(lines.substr(begin, end - begin), style, colour) + "\n";
    begin = end + 1;
  }
  return text;
}

std::string blocks(const TextTable& content, int width, bool colour) {
  constexpr size_t kIndent = 4;
  // A row's name is in the first column of text, with the number in front of it.
  const auto first_text = std::ranges::find(content.right, false);
  const size_t named = first_text == content.right.end() ? 1 : as_size(first_text - content.right.begin()) + 1;
  std::string text;
  for (size_t r = 0; r < content.rows.size(); ++r) {
    const Row& row = content.rows[r];
    const bool is_head = content.head && r == 0;
    text += styled_lines(indented(joined_cells(row, 0, named), 2, width), Style::kDim,
                         colour && (is_head || content.names));
    if (is_head) continue;
    std::string line;
    const auto end_line = [&] {
      if (!line.empty()) text += indented(line, kIndent, width);
      line.clear();
    };
    for (size_t i = named; i < row.size(); ++i) {
      if (row[i].empty()) continue;
      const std::string title = content.head ? content.rows[0][i] : "";
      const std::string cell = title.empty() ? row[i] : title + " " + row[i];
      if (kIndent + width_of(line) + 2 + width_of(cell) > as_size(width)) end_line();
      line += (line.empty() ? "" : "  ") + cell;
    }
    end_line();
  }
  return text;
}

std::string table_of(const TextTable& content, int width, bool colour) {
  const std::vector<size_t> widths = column_widths(content, width == 0 ? SIZE_MAX : as_size(width));
  const bool fits = !widths.empty() || content.right.empty();
  if (content.best.empty() || (fits && colour)) {
    return fits ? grid(content, widths, colour) : blocks(content, width, colour);
  }
  TextTable marked = content;
  marked.best.clear();
  for (const auto& [row, column] : content.best) marked.rows[row][column].insert(0, "*");
  return table_of(marked, width, colour) + indented("* the best of its column", 2, width);
}

}  // namespace

bool is_best(const TextTable& content, size_t row, size_t column) {
  return std::ranges::count(content.best, std::pair(row, column)) > 0;
}

int table_width() {
  constexpr int kWithoutTerminal = 100, kLeast = 20;
  const int width = console().width;
  return width == 0 ? kWithoutTerminal : std::max(width, kLeast);
}

std::string indented(const std::string& text, size_t indent, int width) {
  std::string lines;
  if (text.empty()) return lines;
  const size_t room = width == 0 ? std::max<size_t>(width_of(text), 2) : as_size(width) - indent;
  for (const std::string& line : folded(text, room)) lines += std::string(indent, ' ') + line + "\n";
  return lines;
}

std::string table(const TextTable& content, int width) { return table_of(content, width, /*colour=*/false); }

std::string table(const TextTable& content) { return table_of(content, table_width(), console().colour); }

std::string named_rows(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return "";
  const Console shown = console();
  return table_of({rows, std::vector<bool>(rows.front().size()), /*head=*/false, /*names=*/true},
                  shown.width == 0 ? 0 : table_width(), shown.colour);
}

}  // namespace lora
