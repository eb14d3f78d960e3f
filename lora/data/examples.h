#pragma once
// Rows of a recipe's sources as examples, a block at a time: split off on one thread, parsed and made on all.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lora/data/config.h"
#include "lora/data/format.h"
#include "lora/data/rows.h"
#include "models/base/error.h"

namespace lora {

inline constexpr int64_t kRowsAtATime = 16;  // that a thread takes

// What becomes of rows that cannot be used: data.on_error and data.max_errors.
struct RowErrors {
  bool skip = false;
  int64_t most = 0;
};
RowErrors row_errors(const DataConfig& data);

// What an error says, without the component in front.
std::string without_component(const DataError& error);

// Rows passed over, for the report.
class BadRows {
 public:
  explicit BadRows(const RowErrors& errors) : errors_(errors) {}
  // `message` has the row's place. Throws it as a DataError where rows may not be passed over, and another one where
  // there are more of them than may be.
  void add(const std::string& message);
  int64_t count() const { return count_; }
  const std::vector<std::string>& first() const { return first_; }  // messages, of a few

 private:
  RowErrors errors_;
  int64_t count_ = 0;
  std::vector<std::string> first_;
};

// A row on its way to a sample.
struct ExampleRow {
  Example example;
  size_t source = 0;  // index into the sources
  std::string where;  // "file:line"
  bool keep = true;   // what a filter says
};

// Rows of one source in order, less those passed over.
struct ExampleBlock {
  size_t source = 0;
  std::vector<ExampleRow> rows;
  int64_t read = 0;
};

class ExampleReader {
 public:
  // The arguments must outlive it. `labelled`: rows have labels, others cannot be used; else the other way round.
  ExampleReader(const std::vector<DataSource>& sources, BadRows& bad, bool labelled);
  ~ExampleReader();

  // False at the end. Throws DataError for a file that cannot be read to its end and for a source without rows,
  // RecipeError for an unknown format.
  bool next(ExampleBlock& block);

  // A source that was read from, with the format that it was recognised as, and on what ground. As it was given until a
  // row of it could be read.
  const DataSource& source(size_t source) const { return opened_.at(source); }
  const std::string& ground(size_t source) const { return grounds_.at(source); }
  // Every file that was read to its end.
  const std::vector<SourceFile>& files() const { return files_; }

 private:
  bool open_next_file();
  void fill(ExampleBlock& block);

  const std::vector<DataSource>& sources_;
  BadRows& bad_;
  const bool labelled_;
  std::vector<DataSource> opened_;  // the sources so far
  std::vector<std::string> grounds_;
  const Format* format_ = nullptr;  // of the last of them; null: not recognised yet
  size_t source_ = 0;
  std::vector<std::string> paths_;  // of that source's files
  size_t path_ = 0;
  bool any_row_ = false;
  std::unique_ptr<RowReader> reader_;
  std::vector<RawRow> raw_;
  std::vector<SourceFile> files_;
};

}  // namespace lora
