#pragma once
// Reads the rows of a Parquet file with Arrow's C++ library, if the build includes it (LORA_PARQUET,
// cmake/Dependencies.cmake).

#include <memory>
#include <string>

namespace lora {

// Holds some thousand rows of a row group at a time. String columns, also dictionary-encoded ones, and untyped binary
// columns with UTF-8 become text. Numbers and booleans keep their types. Lists and structs, such as conversations,
// become JSON; null members of a struct are dropped. Other types become text as Arrow prints them. Not thread-safe.
class ParquetRows {
 public:
  // Throws DataError "PATH: …" for a damaged file, an input that can be read only once, and a file that this build
  // cannot read.
  explicit ParquetRows(const std::string& path);
  ~ParquetRows();
  ParquetRows(ParquetRows&&) noexcept;

  // Sets the next row as JSON text of an object, or `error` if the row is unusable. Returns false at the end. Throws
  // DataError if the rest of the file cannot be read.
  bool next(std::string& json, std::string& error);

  // The share of the file's rows that next() has returned.
  double share_read() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lora
