#pragma once
// Rows of a data file, one at a time: CSV (csv.h) whose first line names the columns, by the file's name; else JSONL
// (one object a line) or one JSON array of objects, told apart by the first character. A byte order mark, CRLF line
// ends and blank lines are fine.

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "lora/data/config.h"

namespace lora {

// A row as a format sees it: columns by the format's own names, after the source's renaming. Borrows everything; lives
// as long as the call that hands it over.
class DataRow {
 public:
  // `where` is "file:line", or "file[index]" in an array.
  DataRow(const DataSource& source, const nlohmann::json& object, const std::string& where)
      : source_(source), object_(object), where_(where) {}

  // The column's text. Numbers and booleans become their JSON text. Throws DataError where the column is missing, null,
  // an array or an object; a missing one names the columns found and the nearest of them.
  std::string text(const std::string& column) const;

  // As text(), but "" where the column is missing or null.
  std::string optional_text(const std::string& column) const;

  const std::string& where() const { return where_; }

 private:
  const std::string& name_in_file(const std::string& column) const;

  const DataSource& source_;
  const nlohmann::json& object_;
  const std::string& where_;
};

// Calls `visit` for every row of source.path in file order, holding one row in memory. Throws DataError for a file that
// cannot be read, text that is not JSON or CSV, a row that is not an object or has not the header's number of fields,
// with its place in the file.
void for_each_row(const DataSource& source, const std::function<void(const DataRow&)>& visit);

}  // namespace lora
