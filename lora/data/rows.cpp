#include "lora/data/rows.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "lora/data/csv.h"
#include "models/did_you_mean.h"
#include "models/error.h"

namespace lora {
namespace {

using nlohmann::json;

std::string column_list(const json& object) {
  constexpr size_t kShown = 20;
  std::string list;
  size_t shown = 0;
  for (const auto& item : object.items()) {
    if (shown == kShown) return list + ", and " + std::to_string(object.size() - kShown) + " more";
    list += (shown++ ? ", '" : "'") + item.key() + "'";
  }
  return list.empty() ? "none" : list;
}

// The parser's own words without its prefix and without the text it stopped at, which may be long or not UTF-8.
std::string parser_says(const json::parse_error& error) {
  std::string message = error.what();
  if (const size_t start = message.find(": "); start != std::string::npos) message.erase(0, start + 2);
  return message.substr(0, message.find("; last read"));
}

std::ifstream open_regular(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) throw DataError(path + ": no such file");
  if (!std::filesystem::is_regular_file(status)) throw DataError(path + ": not a file that can be read twice");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(path + ": cannot be opened for reading");
  return file;
}

void skip_byte_order_mark(std::ifstream& file) {
  char mark[3] = {};
  file.read(mark, 3);
  if (file.gcount() == 3 && std::string_view(mark, 3) == "\xef\xbb\xbf") return;
  file.clear();
  file.seekg(0);
}

bool holds_array(std::ifstream& file) {
  const auto start = file.tellg();
  int first = file.get();
  while (first == ' ' || first == '\t' || first == '\r' || first == '\n') first = file.get();
  file.clear();
  file.seekg(start);
  return first == '[';
}

void require_object(const json& value, const std::string& where, const char* wanted) {
  if (!value.is_object()) throw DataError(where + ": found " + value.type_name() + ", wanted " + wanted);
}

void read_lines(std::ifstream& file, const DataSource& source, const std::function<void(const DataRow&)>& visit) {
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = source.path + ":" + std::to_string(number);
    json object;
    try {
      object = json::parse(line);
    } catch (const json::parse_error& error) {
      throw DataError(where + ":" + std::to_string(error.byte) + ": not valid JSON: " + parser_says(error) +
                      "; each line must be one whole object");
    }
    require_object(object, where, "one JSON object a line");
    visit(DataRow(source, object, where));
  }
  if (file.bad()) throw DataError(source.path + ": reading failed");
}

void read_array(std::ifstream& file, const DataSource& source, const std::function<void(const DataRow&)>& visit) {
  int64_t index = 0;
  const auto place = [&] { return source.path + "[" + std::to_string(index) + "]"; };
  // An element is handed on as soon as it is whole and then discarded, so the array itself never grows.
  const auto element = [&](int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (depth != 1) return true;
    if (event == Event::array_start) throw DataError(place() + ": found array, wanted an object");
    if (event == Event::value) require_object(parsed, place(), "an object");
    if (event != Event::object_end) return true;
    const std::string where = place();
    visit(DataRow(source, parsed, where));
    ++index;
    return false;
  };
  try {
    const json emptied = json::parse(file, element);
  } catch (const json::parse_error& error) {
    throw DataError(place() + ": not valid JSON near byte " + std::to_string(error.byte) + ": " + parser_says(error));
  }
}

bool is_csv(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  for (char& c : extension) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return extension == ".csv";
}

std::vector<std::string> read_header(CsvReader& reader, const std::string& path) {
  std::vector<std::string> columns;
  if (!reader.next(columns)) throw DataError(path + ": empty; wanted a first line that names the columns");
  std::set<std::string> seen;
  for (const std::string& column : columns) {
    // A column without a name is an index that someone wrote along; nothing can ask for it.
    if (!column.empty() && !seen.insert(column).second) {
      throw DataError(reader.where() + ": two columns are named '" + column + "'");
    }
  }
  return columns;
}

void read_csv(std::ifstream& file, const DataSource& source, const std::function<void(const DataRow&)>& visit) {
  CsvReader reader(file, source.path);
  const std::vector<std::string> columns = read_header(reader, source.path);
  std::vector<std::string> fields;
  while (reader.next(fields)) {
    const std::string where = reader.where();
    if (fields.size() != columns.size()) {
      throw DataError(where + ": found " + std::to_string(fields.size()) + (fields.size() == 1 ? " field" : " fields") +
                      ", wanted " + std::to_string(columns.size()) +
                      " as in the first line; a field with a comma in it stands in quotes");
    }
    json object = json::object();
    for (size_t i = 0; i < columns.size(); ++i) object[columns[i]] = std::move(fields[i]);
    visit(DataRow(source, object, where));
  }
}

}  // namespace

const std::string& DataRow::name_in_file(const std::string& column) const {
  const auto renamed = source_.fields.find(column);
  return renamed == source_.fields.end() ? column : renamed->second;
}

std::string DataRow::text(const std::string& column) const {
  const std::string& name = name_in_file(column);
  const auto found = object_.find(name);
  if (found == object_.end()) {
    std::vector<std::string> columns;
    for (const auto& item : object_.items()) columns.push_back(item.key());
    throw DataError(where_ + ": no column '" + name + "', which format '" + source_.format + "' reads; found: " +
                    column_list(object_) + did_you_mean(name, columns) + "; `fields` renames columns");
  }
  if (found->is_string()) return found->get<std::string>();
  if (found->is_number() || found->is_boolean()) return found->dump();
  throw DataError(where_ + ": column '" + name + "' is " + found->type_name() + ", wanted text");
}

std::string DataRow::optional_text(const std::string& column) const {
  const auto found = object_.find(name_in_file(column));
  return found == object_.end() || found->is_null() ? std::string() : text(column);
}

void for_each_row(const DataSource& source, const std::function<void(const DataRow&)>& visit) {
  std::ifstream file = open_regular(source.path);
  skip_byte_order_mark(file);
  if (is_csv(source.path)) {
    read_csv(file, source, visit);
  } else if (holds_array(file)) {
    read_array(file, source, visit);
  } else {
    read_lines(file, source, visit);
  }
}

}  // namespace lora
