#pragma once
// Rows of a data file, one at a time: CSV or TSV (csv.h) whose first line names the columns, by the file's name;
// Parquet (parquet.h), by its first bytes; else JSONL (one object a line) or one JSON array of objects, told apart by
// the first character. Files may be packed (input.h). A byte order mark, CRLF line ends and blank lines are fine.

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

// A row as a format sees it: columns by the format's own names, after the source's renaming. Borrows everything; lives
// as long as the call that hands it over.
class DataRow {
 public:
  // `where` is "file:line", or "file:line[index]" in an array.
  DataRow(const DataSource& source, const nlohmann::ordered_json& object, const std::string& where)
      : source_(source), object_(object), where_(where) {}

  // The column's text. Numbers and booleans become their JSON text. Throws DataError where the column is missing, null,
  // an array or an object; a missing one names the columns found and the nearest of them.
  std::string text(const std::string& column) const;

  // As text(), but "" where the column is missing or null.
  std::string optional_text(const std::string& column) const;

  // The column's value as it is; text that holds a JSON list or object (a CSV's) is read as that. Throws DataError
  // where the column is missing.
  nlohmann::ordered_json value(const std::string& column) const;
  // As value(), but null where the column is missing.
  nlohmann::ordered_json optional_value(const std::string& column) const;

  const std::string& where() const { return where_; }

 private:
  const std::string& name_in_file(const std::string& column) const;
  const nlohmann::ordered_json& expect(const std::string& column) const;

  const DataSource& source_;
  const nlohmann::ordered_json& object_;
  const std::string& where_;
};

// A row as it stands in its file.
struct RawRow {
  std::string json;                 // its text, but in CSV
  std::vector<std::string> fields;  // in CSV
  int64_t line = 0;                 // where it begins; in Parquet the row, from 1
  int64_t index = -1;               // in an array
  std::string error;                // why it cannot be used, where that is so: a message without its place
};

// Finds where the rows of a file begin and end; what is in them is for parse(), which may run on other threads.
class RowReader {
 public:
  // Throws DataError as Input does, and for a CSV file without a good header.
  explicit RowReader(const std::string& path);

  // False at the end. Reuses what `row` holds. Throws DataError where the rest of the file cannot be split into rows.
  bool next(RawRow& row);

  // The row as an object. Throws DataError for text that is not JSON, a value that is no object, a key that is there
  // twice, a row that has not the header's number of fields, and what the row has as its error.
  nlohmann::ordered_json parse(const RawRow& row) const;

  std::string where(const RawRow& row) const;

  // After the last row: what was read.
  SourceFile finish();

 private:
  bool next_line(RawRow& row);
  bool next_element(RawRow& row);
  bool next_record(RawRow& row);
  bool next_parquet(RawRow& row);
  void read_header();
  int get();
  int skip_space();

  std::string path_;
  std::unique_ptr<Input> input_;
  std::optional<CsvReader> csv_;
  std::optional<ParquetRows> parquet_;
  std::vector<std::string> columns_;  // of CSV
  int64_t line_ = 1, index_ = 0;
  bool array_ = false, first_ = true;
};

// Calls `visit` for every row of the source's files in order, holding one row in memory. Throws DataError for the first
// that cannot be used.
void for_each_row(const DataSource& source, const std::function<void(const DataRow&)>& visit);

}  // namespace lora
