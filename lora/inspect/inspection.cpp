#include "lora/inspect/inspection.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "lora/terminal/table.h"
#include "lora/terminal/text.h"

namespace lora {
namespace {

using Json = nlohmann::ordered_json;

// Names come from untrusted files: replaces control characters and limits the length.
std::string printable(const std::string& text) { return one_line(text, 200); }

std::string cell(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return printable(value.get<std::string>());
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_integer()) return with_commas(value.get<int64_t>());
  if (value.is_number()) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.4g", value.get<double>());
    return buffer;
  }
  std::string shape;
  for (const Json& item : value) shape += (shape.empty() ? "" : " × ") + cell(item);
  return shape;
}

// Decimals for all numbers of a column, so that they stand below one another: four digits of the least; none where all
// are whole, or where they are too far apart.
std::optional<int> decimals_of(const Table& content, size_t column) {
  constexpr double kFarApart = 1e3, kLong = 1e6;
  double least = INFINITY, most = 0;
  bool is_whole = true;
  for (const auto& row : content.rows) {
    if (!row[column].is_number_float()) continue;
    const double value = std::abs(row[column].get<double>());
    is_whole &= value == std::floor(value);
    if (value > 0) least = std::min(least, value);
    most = std::max(most, value);
  }
  if (is_whole || std::isinf(least) || most > kFarApart * least || most > kLong) return std::nullopt;
  return std::max(0, 3 - static_cast<int>(std::floor(std::log10(least))));
}

std::string table_text(const Table& content, size_t most_rows) {
  std::vector<std::vector<std::string>> rows(1);
  std::vector<bool> right;
  for (const Column& column : content.columns) rows[0].push_back(column.title);
  const size_t shown = std::min(content.rows.size(), most_rows);
  rows.resize(shown + 1);
  for (size_t column = 0; column < content.columns.size(); ++column) {
    const std::optional<int> decimals = decimals_of(content, column);
    for (size_t i = 0; i < shown; ++i) {
      const Json& value = content.rows[i][column];
      const bool is_aligned = decimals && value.is_number_float();
      rows[i + 1].push_back(is_aligned ? fixed(value.get<double>(), *decimals) : cell(value));
    }
  }
  for (size_t i = 0; i < content.columns.size(); ++i) {
    right.push_back(std::ranges::any_of(content.rows, [&](const auto& row) { return row[i].is_number(); }));
  }
  std::string text = "\n" + content.title + "\n" + table(rows, right);
  if (shown < content.rows.size()) {
    text += indented(
        "… and " + with_commas(std::ssize(content.rows) - static_cast<int64_t>(shown)) + " more; --all shows them", 2);
  }
  return text;
}

}  // namespace

std::string to_text(const Inspection& inspection, size_t most_rows) {
  std::vector<std::vector<std::string>> facts;
  for (const Fact& fact : inspection.facts) {
    facts.push_back({fact.title, fact.text.empty() ? cell(fact.value) : printable(fact.text)});
  }
  std::string text = printable(inspection.path) + ": " + inspection.kind + "\n" + named_rows(facts);
  for (const Table& content : inspection.tables) {
    if (!content.rows.empty()) text += table_text(content, most_rows);
  }
  text += inspection.odd.empty() ? "\nNothing odd.\n" : "\nOdd:\n";
  for (const std::string& sentence : inspection.odd) text += indented(one_line(sentence, 400), 2);
  return text;
}

std::string to_json(const Inspection& inspection) {
  Json json = {{"path", inspection.path}, {"kind", inspection.kind}};
  for (const Fact& fact : inspection.facts) json[fact.key] = fact.value;
  for (const Table& content : inspection.tables) {
    Json list = Json::array();
    for (const auto& row : content.rows) {
      Json object = Json::object();
      for (size_t i = 0; i < row.size(); ++i) object[content.columns[i].key] = row[i];
      list.push_back(std::move(object));
    }
    json[content.key] = std::move(list);
  }
  json["odd"] = inspection.odd;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace lora
