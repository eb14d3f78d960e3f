#include "lora/recipe/key_descriptions.h"

#include <regex>
#include <sstream>
#include <vector>

namespace lora {

extern const char kRecipeReference[];  // made of docs/recipe.md by CMake

namespace {

// The cells of a table's row: "| a | b |". A bar within a cell is written \|.
std::vector<std::string> cells_of(const std::string& row) {
  std::vector<std::string> cells;
  std::string cell;
  for (size_t i = 1; i < row.size(); ++i) {
    if (row[i] == '\\' && i + 1 < row.size() && row[i + 1] == '|') {
      cell += row[++i];
    } else if (row[i] == '|') {
      const size_t first = cell.find_first_not_of(' '), last = cell.find_last_not_of(' ');
      cells.push_back(first == cell.npos ? "" : cell.substr(first, last - first + 1));
      cell.clear();
    } else {
      cell += row[i];
    }
  }
  return cells;
}

std::vector<std::string> words_in_backticks(const std::string& text) {
  static const std::regex word("`([^`]+)`");
  std::vector<std::string> words;
  for (std::sregex_iterator i(text.begin(), text.end(), word), end; i != end; ++i) words.push_back((*i)[1]);
  return words;
}

// Links of the reference are to pages beside it, by their names or by what they hold.
std::string without_links(const std::string& text) {
  static const std::regex page(R"(\[([a-z-]+\.md)\]\([^)]+\))"), link(R"(\[([^\]]+)\]\([^)]+\))");
  return std::regex_replace(std::regex_replace(text, page, "docs/$1"), link, "$1");
}

}  // namespace

std::map<std::string, std::string> key_descriptions() {
  // "## training" and "### data.mixing" head the keys of these maps; any other heading those of the recipe itself.
  static const std::regex heading("##+ ([a-z_.]+)");
  static const std::string of_a_source = "….";
  std::map<std::string, std::string> found;
  std::string map;
  std::istringstream lines(kRecipeReference);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) {
      std::smatch name;
      map = std::regex_match(line, name, heading) ? name[1].str() + "." : "";
    }
    if (!line.starts_with("| `")) continue;
    const std::vector<std::string> cells = cells_of(line);
    const std::string text = without_links(cells.back());
    if (text.empty()) continue;
    for (const std::string& key : words_in_backticks(cells.front())) {
      if (!key.starts_with(of_a_source)) {
        found[map + key] = text;
        continue;
      }
      for (const char* const sources : {"train.", "validation."}) {
        found[map + sources + key.substr(of_a_source.size())] = text;
      }
    }
  }
  return found;
}

}  // namespace lora
