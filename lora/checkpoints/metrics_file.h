#pragma once
// metrics.jsonl: one JSON object a line, each with an integer "step", in the order of training.

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "models/base/file_descriptor.h"

namespace lora {

// Appends rows. A row is in the file as a whole line, or not at all when append() throws.
class MetricsFile {
 public:
  // Creates the file where it is missing. After a crash, drop_rows_after() comes first: it takes a torn last line
  // away. Throws StorageError.
  explicit MetricsFile(std::filesystem::path path);

  // `row`: one JSON object, no line break in it. Readers see it at once (one write(2), nothing kept back).
  // Throws StorageError.
  void append(std::string_view row);

  // Flushes the rows so far to the disk: before a checkpoint is written, so that none of them is lost to a power cut
  // that the checkpoint survives. Throws StorageError.
  void sync();

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
};

struct DroppedRows {
  int64_t after_step = 0;  // rows of later steps
  int64_t unreadable = 0;  // lines that are no row, such as the last one of a killed writer
};

// Keeps the rows up to and with `step`, for a run that goes on from there. The file is replaced atomically, and only
// where something is dropped; a missing file is left missing. Throws StorageError.
DroppedRows drop_rows_after(const std::filesystem::path& path, int64_t step);

}  // namespace lora
