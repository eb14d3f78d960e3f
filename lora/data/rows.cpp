#include "lora/data/rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "models/base/did_you_mean.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/sha256.h"

namespace lora {
namespace {

using nlohmann::ordered_json;  // keeps the order of keys: a model sees tools as they were written

std::string column_list(const ordered_json& object) {
  constexpr size_t kShown = 20;
  std::string list;
  size_t shown = 0;
  for (const auto& item : object.items()) {
    if (shown == kShown) return list + ", and " + std::to_string(object.size() - kShown) + " more";
    list += (shown++ ? ", '" : "'") + item.key() + "'";
  }
  return list.empty() ? "none" : list;
}

// The parser's message without its prefix and without the text at the error, which may be long or invalid UTF-8.
std::string parser_says(const ordered_json::parse_error& error) {
  std::string message = error.what();
  if (const size_t start = message.find(": "); start != std::string::npos) message.erase(0, start + 2);
  return message.substr(0, message.find("; last read"));
}

char ascii_lower(char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

// Decides by the file's name without the suffix of its compression.
char csv_separator(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  std::ranges::transform(name, name.begin(), ascii_lower);
  for (const char* packed : {".gz", ".gzip", ".zst", ".zstd"}) {
    if (name.ends_with(packed)) {
      name.resize(name.rfind('.'));
      break;
    }
  }
  return name.ends_with(".csv") ? ',' : name.ends_with(".tsv") ? '\t' : '\0';
}

// True if `value` or something in it is one of `read`.
bool is_entered(const ordered_json& value, const std::vector<const ordered_json*>& read) {
  return std::ranges::any_of(read, [&](const ordered_json* one) { return one == &value; }) ||
         (value.is_structured() &&
          std::ranges::any_of(value, [&](const ordered_json& item) { return is_entered(item, read); }));
}

// `dotted`: a dotted name may have entered the value.
void collect_unread(const ordered_json& value, const std::string& name, const std::vector<const ordered_json*>& read,
                    bool dotted, std::vector<std::string>& names) {
  const bool nothing = value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty());
  if (nothing || (value.is_structured() && value.empty()) || std::ranges::count(read, &value) > 0) return;
  if (!dotted || !value.is_structured() || !is_entered(value, read)) {
    names.push_back(name);
    return;
  }
  for (const auto& item : value.items()) collect_unread(item.value(), name + "." + item.key(), read, dotted, names);
}

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t\r") == std::string::npos; }

std::string too_long() { return "more than " + std::to_string(kMostRecordBytes >> 20) + " MiB, expected shorter rows"; }

// No real row is nested this deep, and code that traverses a value uses the stack.
constexpr int kDeepestRow = 1000;

// Members of an object that hold the rows of a file.
constexpr std::array kRowsMembers = {"data", "rows", "examples", "instances", "samples", "train"};

// True if the first line is a whole JSON value and more text follows.
bool begins_with_a_row(std::string_view text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const bool more = text.find_first_not_of(" \t\r\n", end) != std::string_view::npos;
  return more && ordered_json::accept(text.substr(0, end));
}

// The length of `{"version": "1", "data": [` at the start of the text, if objects follow; 0 where the text is lines of
// objects.
size_t opening_of_rows(std::string_view text) {
  size_t at = 0;
  const auto skip = [&](std::string_view characters) {
    at = std::min(text.find_first_not_of(characters, at), text.size());
  };
  const auto take = [&](char c) {
    skip(" \t\r\n");
    const bool found = at < text.size() && text[at] == c;
    at += found;
    return found;
  };
  const auto take_string = [&](std::string_view& content) {
    if (!take('"')) return false;
    const size_t begin = at;
    while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
    if (at >= text.size()) return false;
    content = text.substr(begin, at++ - begin);
    return true;
  };
  if (!take('{')) return 0;
  do {
    std::string_view name, value;
    if (!take_string(name) || !take(':')) return 0;
    if (std::ranges::count(kRowsMembers, name) > 0 && take('[')) {
      const size_t length = at;
      return (take('{') || take(']')) && !begins_with_a_row(text) ? length : 0;
    }
    if (!take_string(value)) skip("+-.0123456789eEtrufalsn");
  } while (take(','));
  return 0;
}

ordered_json parse_row(const std::string& text, const std::string& where) {
  try {
    return parse_json<ordered_json>(text, kDeepestRow);
  } catch (const ordered_json::parse_error& error) {
    throw DataError(where + ":" + std::to_string(error.byte) + ": not valid JSON: " + parser_says(error) +
                    "; each row must be one whole object");
  } catch (const ordered_json::other_error& error) {
    throw DataError(where + ": " + json_problem(error));
  } catch (const ordered_json::exception&) {
    throw DataError(where + ": has a number that no float64 holds");
  }
}

}  // namespace

bool object_is_row(const DataSource& source) {
  return std::ranges::any_of(source.fields, [](const auto& field) {
    const std::string member = field.second.substr(0, field.second.find('.'));
    return std::ranges::count(kRowsMembers, member) > 0;
  });
}

RowReader::RowReader(const std::string& path, bool lines) : path_(path), input_(std::make_unique<Input>(path)) {
  if (const char separator = csv_separator(path)) {
    csv_.emplace(*input_, path, separator);
    read_header();
    return;
  }
  if (input_->starts_with("PAR1")) {
    parquet_.emplace(path);
    return;
  }
  array_ = skip_space() == '[';
  size_t opening = array_ ? 1 : 0;
  if (!array_ && !lines) opening = opening_of_rows(input_->beginning());
  in_object_ = opening > 1;
  array_ = opening > 0;
  while (opening-- > 0) get();
}

int RowReader::get() {
  const int c = input_->sbumpc();
  line_ += c == '\n';
  return c;
}

// Skips white space. Returns the next character without consuming it.
int RowReader::skip_space() {
  int c = input_->sgetc();
  for (; c == ' ' || c == '\t' || c == '\r' || c == '\n'; c = input_->sgetc()) get();
  return c;
}

void RowReader::read_header() {
  if (!csv_->next(columns_)) throw DataError(path_ + ": empty; expected a first line that names the columns");
  std::set<std::string> seen;
  for (size_t i = 0; i < columns_.size(); ++i) {
    std::string& column = columns_[i];
    // The first without a name is a written index; no format reads it. Another one gets a name to be counted by.
    if (i > 0 && column.empty()) column = "(column " + std::to_string(i + 1) + ")";
    if (!column.empty() && !seen.insert(column).second) {
      throw DataError(csv_->where() + ": two columns are named '" + column + "'");
    }
  }
}

bool RowReader::next(RawRow& row) {
  row.error.clear();
  return csv_ ? next_record(row) : parquet_ ? next_parquet(row) : array_ ? next_element(row) : next_line(row);
}

bool RowReader::next_line(RawRow& row) {
  while (true) {
    row.line = line_;
    row.index = -1;
    const Input::Line found = input_->read_line(row.json);
    if (found == Input::Line::kEnd) return false;
    ++line_;
    if (found == Input::Line::kTooLong) {
      row.error = "a line of " + too_long();
      return true;
    }
    if (!is_blank(row.json)) return true;
  }
}

bool RowReader::next_element(RawRow& row) {
  int c = skip_space();
  const auto place = [&](int64_t line) { return path_ + ":" + std::to_string(line) + ": "; };
  if (c == kEndOfInput) throw DataError(place(line_) + "the array is not closed; is the file whole?");
  const bool closed = c == ']' && first_;
  row.line = line_;
  row.index = index_++;
  row.json.clear();
  bool in_string = false;
  for (int64_t depth = 0; !closed;) {
    c = get();
    if (c == kEndOfInput)
      throw DataError(place(row.line) + "the element that begins here is not closed; is the file whole?");
    if (!in_string && depth == 0 && (c == ',' || c == ']')) break;
    if (in_string) {
      if (c == '\\') {
        row.json += static_cast<char>(c);
        c = get();
        if (c == kEndOfInput) continue;  // the check above reports it
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
    row.json += static_cast<char>(c);
    if (row.json.size() > kMostRecordBytes) throw DataError(place(row.line) + "an element of " + too_long());
  }
  first_ = false;
  if (closed) get();
  if (closed || c == ']') {
    array_ = false;
    if (in_object_) end_object();
    if (skip_space() != kEndOfInput) throw DataError(place(line_) + "found text after the array, expected its end");
    // From here on next() reads lines, and none are left.
  }
  return !closed;
}

// Reads the members behind the array, up to the end of the object.
void RowReader::end_object() {
  const std::string place = path_ + ":" + std::to_string(line_);
  std::string rest = "{\"\": 0";
  for (int c = get(); c != kEndOfInput; c = get()) {
    rest += static_cast<char>(c);
    if (rest.size() > kMostRecordBytes) break;
  }
  ordered_json members;
  try {
    members = parse_row(rest, place);
  } catch (const DataError&) {
    throw DataError(place + ": the object that holds the rows does not end as expected; where each line is a row, " +
                    "`fields` names the column of its list");
  }
  for (const auto& member : members.items()) {
    if (!member.value().is_structured() || member.value().empty()) continue;
    throw DataError(place + ": found '" + member.key() + "' beside the list of rows, expected one list; " +
                    "make a file of each");
  }
}

bool RowReader::next_record(RawRow& row) {
  row.index = -1;
  try {
    const bool any = csv_->next(row.fields);
    row.line = csv_->line();
    return any;
  } catch (const DataError&) {
    if (!csv_->skip_line()) throw;
    row.line = csv_->problem_line();
    row.error = csv_->problem();
    return true;
  }
}

bool RowReader::next_parquet(RawRow& row) {
  row.line = line_++;
  row.index = -1;
  const bool any = parquet_->next(row.json, row.error);
  if (row.json.size() > kMostRecordBytes) row.error = "a row of " + too_long();
  return any;
}

SourceFile RowReader::finish() {
  if (parquet_) return {path_, static_cast<int64_t>(std::filesystem::file_size(path_)), sha256_of_file(path_)};
  return input_->finish();
}

int64_t RowReader::bytes_read() const {
  if (!parquet_) return input_->bytes_read();
  return static_cast<int64_t>(parquet_->share_read() * static_cast<double>(std::filesystem::file_size(path_)));
}

std::string RowReader::where(const RawRow& row) const {
  std::string place = path_ + ":" + std::to_string(row.line);
  return row.index < 0 ? place : place + "[" + std::to_string(row.index) + "]";
}

ordered_json RowReader::parse(const RawRow& row) const {
  const std::string place = where(row);
  if (!row.error.empty()) throw DataError(place + ": " + row.error);
  if (!csv_) {
    ordered_json value = parse_row(row.json, place);
    if (value.is_object()) return value;
    throw DataError(place + ": found " + value.type_name() +
                    (row.index < 0 ? ", expected one JSON object a line" : ", expected an object"));
  }
  if (row.fields.size() != columns_.size()) {
    const auto count = std::to_string(row.fields.size()) + (row.fields.size() == 1 ? " field" : " fields");
    throw DataError(place + ": found " + count + ", expected " + std::to_string(columns_.size()) +
                    " as in the first line; a field with a separator in it stands in quotes");
  }
  ordered_json::object_t object;
  object.reserve(columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].empty()) object.emplace_back(columns_[i], row.fields[i]);  // of the vector: it looks for no key
  }
  return object;
}

const ordered_json* find_column(const ordered_json& row, const std::string& name) {
  if (const auto found = row.find(name); found != row.end()) return &*found;
  if (name.find('.') == std::string::npos) return nullptr;
  const ordered_json* value = &row;
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('.', at), name.size());
    const std::string part = name.substr(at, end - at);
    if (value->is_object()) {
      const auto found = value->find(part);
      if (found == value->end()) return nullptr;
      value = &*found;
    } else if (value->is_array() && !part.empty() && part.size() < 10 &&
               part.find_first_not_of("0123456789") == std::string::npos && std::stoul(part) < value->size()) {
      value = &(*value)[std::stoul(part)];
    } else {
      return nullptr;
    }
    at = end + 1;
  }
  return value;
}

const std::string& DataRow::name_in_file(const std::string& column) const {
  const auto renamed = source_.fields.find(column);
  return renamed == source_.fields.end() ? column : renamed->second;
}

const ordered_json* DataRow::find(const std::string& column) const {
  const ordered_json* found = find_column(object_, name_in_file(column));
  if (found) read_.push_back(found);
  return found;
}

const ordered_json& DataRow::expect(const std::string& column) const {
  if (const ordered_json* found = find(column)) return *found;
  const std::string& name = name_in_file(column);
  std::vector<std::string> columns;
  for (const auto& item : object_.items()) columns.push_back(item.key());
  throw DataError(where_ + ": no column '" + name + "', which format '" + source_.format + "' reads; found: " +
                  column_list(object_) + did_you_mean(name, columns) + "; `fields` renames columns");
}

std::string DataRow::text(const std::string& column) const {
  const ordered_json& found = expect(column);
  if (found.is_string()) return found.get<std::string>();
  // A whole number that 64 bits do not hold is a float by now, with other digits than the file's.
  const bool rounded = found.is_number_float() && std::abs(found.get<double>()) >= 0x1p63;
  if (!rounded && (found.is_number() || found.is_boolean())) return found.dump();
  throw DataError(where_ + ": column '" + name_in_file(column) + "' is " +
                  (rounded ? "a number beyond 64 bits" : found.type_name()) + ", expected text");
}

ordered_json DataRow::value(const std::string& column) const {
  const ordered_json& found = expect(column);
  if (!found.is_string()) return found;
  const std::string& text = found.get_ref<const std::string&>();
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || (text[first] != '[' && text[first] != '{')) return found;
  try {
    return parse_json<ordered_json>(text, kDeepestRow);
  } catch (const ordered_json::other_error& error) {
    throw DataError(where_ + ": column '" + name_in_file(column) + "': " + json_problem(error));
  } catch (const ordered_json::exception&) {
    return found;  // a text that begins with a bracket
  }
}

ordered_json DataRow::optional_value(const std::string& column) const {
  return find_column(object_, name_in_file(column)) ? value(column) : ordered_json();
}

std::string DataRow::optional_text(const std::string& column) const {
  const ordered_json* found = find_column(object_, name_in_file(column));
  return !found || found->is_null() ? std::string() : text(column);
}

std::optional<bool> DataRow::flag(const std::string& column) const {
  const ordered_json* found = find_column(object_, name_in_file(column));
  if (!found) return {};
  std::string word = found->is_boolean() ? found->dump() : found->is_string() ? found->get<std::string>() : "";
  std::ranges::transform(word, word.begin(), ascii_lower);
  if (word != "true" && word != "false") return {};
  read_.push_back(found);
  return word == "true";
}

std::vector<std::string> DataRow::unread() const {
  const bool dotted = std::ranges::any_of(
      source_.fields, [](const auto& field) { return field.second.find('.') != std::string::npos; });
  std::vector<std::string> names;
  for (const auto& item : object_.items()) collect_unread(item.value(), item.key(), read_, dotted, names);
  return names;
}

void for_each_row(const DataSource& source, const std::function<void(const DataRow&)>& visit) {
  for (const std::string& file : matching_files(source.path)) {
    RowReader reader(file, object_is_row(source));
    for (RawRow row; reader.next(row);) {
      const std::string where = reader.where(row);
      const ordered_json object = reader.parse(row);
      visit(DataRow(source, object, where));
    }
  }
}

}  // namespace lora
