#pragma once
// Rows of a Parquet file, through Arrow's C++ library where this is built with it (LORA_PARQUET,
// cmake/Dependencies.cmake).

#include <memory>
#include <string>

namespace lora {

// Holds some thousand rows of a row group at a time. Text is what is text, plain or from a dictionary, and bytes
// without a type that are UTF-8; numbers and booleans are themselves; lists and structs, such as a conversation's, are
// JSON's, without what is null in a struct; other types are as Arrow prints them. Not thread-safe.
class ParquetRows {
 public:
  // Throws DataError "PATH: …" for a file that is damaged, that can be read only once or that this build cannot read.
  explicit ParquetRows(const std::string& path);
  ~ParquetRows();
  ParquetRows(ParquetRows&&) noexcept;

  // The next row as an object's JSON text, or why it cannot be used. False at the end. Throws DataError where the rest
  // of the file cannot be read.
  bool next(std::string& json, std::string& error);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lora
