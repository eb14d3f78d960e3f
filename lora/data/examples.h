#pragma once
// Reads the rows of a recipe's sources as examples, in blocks: one thread splits rows off, all threads parse them.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lora/data/config.h"
#include "lora/data/dataset.h"
#include "lora/data/format.h"
#include "lora/data/rows.h"
#include "models/base/error.h"

namespace lora {

inline constexpr int64_t kRowsAtATime = 16;  // rows that a thread takes at once

// The handling of unusable rows: data.on_error and data.max_errors.
struct RowErrors {
  bool skip = false;
  int64_t most = 0;
};
RowErrors row_errors(const DataConfig& data);

// Counts the skipped rows, for the report.
class BadRows {
 public:
  explicit BadRows(const RowErrors& errors) : errors_(errors) {}
  // `message` includes the row's place. Throws a DataError with it if rows may not be skipped, and another DataError if
  // there are more than allowed.
  void add(const std::string& message);
  int64_t count() const { return count_; }
  const std::vector<std::string>& first() const { return first_; }  // the first few messages

 private:
  RowErrors errors_;
  int64_t count_ = 0;
  std::vector<std::string> first_;
};

// A row between its file and its sample.
struct ExampleRow {
  Example example;
  size_t source = 0;  // index into the sources
  std::string where;  // "file:line"
  bool keep = true;   // cleared by a filter
};

// Adds the names of `more` to those of `all`, as long as there are not more than kMostNamed.
constexpr size_t kMostNamed = 50;
void add_named(const std::vector<NamedRows>& more, std::vector<NamedRows>& all);

// Rows of one source in order, without the skipped ones and those of its other part (row_part.h).
struct ExampleBlock {
  size_t source = 0;
  std::vector<ExampleRow> rows;
  int64_t read = 0;
  int64_t not_chosen = 0;         // left out: their answer is not one to learn (is_chosen in format.h)
  std::vector<NamedRows> unread;  // in usable rows, most kMostNamed
};

class ExampleReader {
 public:
  // The arguments must outlive it. `trains`: what the run learns. Rows are usable only if they have it: a label, two
  // answers, or a mark; a label is usable for nothing else.
  ExampleReader(const std::vector<DataSource>& sources, BadRows& bad, Trains trains);
  ~ExampleReader();

  // Returns false at the end. Throws DataError for a file that cannot be read to its end and for a source without rows,
  // RecipeError for an unknown format.
  bool next(ExampleBlock& block);

  // A source that was read from, with the recognised format, and the reason for that format. Unchanged until one of its
  // rows is readable.
  const DataSource& source(size_t source) const { return opened_.at(source); }
  const std::string& ground(size_t source) const { return grounds_.at(source); }
  // All files that were read to their end.
  const std::vector<SourceFile>& files() const { return files_; }
  // About how many bytes of all files the rows so far took: see RowReader::bytes_read().
  int64_t bytes_read() const;

 private:
  bool open_next_file();
  void fill(ExampleBlock& block);

  const std::vector<DataSource>& sources_;
  BadRows& bad_;
  const Trains trains_;
  std::vector<DataSource> opened_;  // the sources so far
  std::vector<std::string> grounds_;
  const Format* format_ = nullptr;  // of the last source; null: no row of it has been readable yet
  size_t source_ = 0;
  std::vector<std::string> paths_;  // the files of that source
  size_t path_ = 0;
  bool any_row_ = false;
  int64_t row_ = 0;  // of that source, counted over its files
  std::unique_ptr<RowReader> reader_;
  std::vector<RawRow> raw_;
  std::vector<SourceFile> files_;
};

}  // namespace lora
