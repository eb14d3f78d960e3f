#pragma once
// metrics.jsonl: one JSON object per line, each with an integer "step", in training order.

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "models/base/file_descriptor.h"

namespace lora {

// Appends rows. When append() throws, the file holds no part of the row.
class MetricsFile {
 public:
  // Creates the file if it is missing. After a crash, call drop_rows_after() first: it removes an incomplete last line.
  // Throws StorageError.
  explicit MetricsFile(std::filesystem::path path);

  // `row` is one JSON object without a line break. Readers see it immediately (one write(2), no buffer). Throws
  // StorageError.
  void append(std::string_view row);

  // Flushes all rows to the disk. Call it before writing a checkpoint, so that a power cut cannot lose rows that the
  // checkpoint already counts. Throws StorageError.
  void sync();

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
};

struct DroppedRows {
  int64_t after_step = 0;  // rows that were written after the checkpoint of the step
  int64_t unreadable = 0;  // lines that are not a row, such as the last line of a killed writer
};

// Removes the rows after the checkpoint of `step`, for a run that continues from there: those of later steps, and of
// that step the one that tells how held-out rows were answered at the end. Replaces the file atomically, and only if a
// row is dropped. Does not create a missing file. Throws StorageError.
DroppedRows drop_rows_after(const std::filesystem::path& path, int64_t step);

}  // namespace lora
