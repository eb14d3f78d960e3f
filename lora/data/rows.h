#pragma once
// Reads the rows of a data file one at a time. Formats: CSV or TSV (csv.h), by the file name, with column names in the
// first line; Parquet (parquet.h), by the first bytes; JSONL (one object per line), one JSON array of objects, or one
// object that holds such an array under `data`, by the first characters. Files may be packed (input.h). Accepts a byte
// order mark, CRLF line ends and blank lines.

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lora/data/config.h"
#include "lora/data/csv.h"
#include "lora/data/input.h"
#include "lora/data/parquet.h"

namespace lora {

// A column's value. A name with dots leads into objects and lists, where no column has the whole name: translation.fr,
// answers.text.0. Null if the row lacks it.
const nlohmann::ordered_json* find_column(const nlohmann::ordered_json& row, const std::string& name);

// A row with columns under the format's names, after the source's renaming. Borrows its arguments and is valid only
// during the call that receives it.
class DataRow {
 public:
  // `where` is "file:line", or "file:line[index]" in an array.
  DataRow(const DataSource& source, const nlohmann::ordered_json& object, const std::string& where)
      : source_(source), object_(object), where_(where) {}

  // The column as text. Numbers and booleans become their JSON text. Throws DataError if the column is missing, null,
  // an array or an object. For a missing column, the error lists the columns found and the nearest name.
  std::string text(const std::string& column) const;

  // The same, but "" if the column is missing or null.
  std::string optional_text(const std::string& column) const;

  // The column's value. Text that holds a JSON list or object (for example in CSV) is parsed. Throws DataError if the
  // column is missing.
  nlohmann::ordered_json value(const std::string& column) const;
  // The same, but null if the column is missing.
  nlohmann::ordered_json optional_value(const std::string& column) const;
  // A column that holds true or false, as such or as text in any case. Empty for any other value; the column then does
  // not count as read.
  std::optional<bool> flag(const std::string& column) const;

  // The columns of the file with a value (not null, not empty) that none of the calls above has read. Of a column that
  // was entered by a dotted name, its other members: "translation.en".
  std::vector<std::string> unread() const;

  const std::string& where() const { return where_; }
  const DataSource& source() const { return source_; }

 private:
  const std::string& name_in_file(const std::string& column) const;
  const nlohmann::ordered_json* find(const std::string& column) const;
  const nlohmann::ordered_json& expect(const std::string& column) const;

  const DataSource& source_;
  const nlohmann::ordered_json& object_;
  const std::string& where_;
  mutable std::vector<const nlohmann::ordered_json*> read_ = {};
};

// A row as read from its file, not parsed.
struct RawRow {
  std::string json;                 // its text; empty for CSV
  std::vector<std::string> fields;  // for CSV
  int64_t line = 0;                 // first line of the row; in Parquet the row's number, from 1
  int64_t index = -1;               // position in an array
  std::string error;                // why the row is unusable, without its place; empty: usable
};

// Splits a file into rows. parse() reads their contents and may run on other threads.
class RowReader {
 public:
  // `lines`: an object at the start is a row, even if it holds a list of objects under `data`. Throws DataError as
  // Input does, and for a CSV file without a valid header.
  explicit RowReader(const std::string& path, bool lines = false);

  // Returns false at the end. Reuses the memory of `row`. Throws DataError if the rest of the file cannot be split into
  // rows.
  bool next(RawRow& row);

  // The row as an object. Throws DataError for invalid JSON, a value that is not an object, a duplicate key, a number
  // of fields that differs from the header's, and for the row's own error.
  nlohmann::ordered_json parse(const RawRow& row) const;

  std::string where(const RawRow& row) const;

  // Call it after the last row. Returns the description of the file.
  SourceFile finish();

  // About how many bytes of the file, packed or not, the rows so far took.
  int64_t bytes_read() const;

 private:
  bool next_line(RawRow& row);
  bool next_element(RawRow& row);
  bool next_record(RawRow& row);
  bool next_parquet(RawRow& row);
  void end_object();
  void read_header();
  int get();
  int skip_space();

  std::string path_;
  std::unique_ptr<Input> input_;
  std::optional<CsvReader> csv_;
  std::optional<ParquetRows> parquet_;
  std::vector<std::string> columns_;  // of a CSV file
  int64_t line_ = 1, index_ = 0;
  bool array_ = false, first_ = true;
  bool in_object_ = false;  // the array is a member of an object
};

// True if the source's `fields` name a column `data` or the like: an object at the start of its files is then a row.
bool object_is_row(const DataSource& source);

// Calls `visit` for every row of the source's files in order. Holds one row in memory. Throws DataError for the first
// unusable row.
void for_each_row(const DataSource& source, const std::function<void(const DataRow&)>& visit);

}  // namespace lora
