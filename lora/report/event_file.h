#pragma once
// TensorBoard's event files: the rows of metrics.jsonl as scalars.
//
// A file is a list of records: the length (8 bytes), a masked CRC-32C of it (4), the bytes, a masked CRC-32C of them (4);
// numbers are little-endian. The bytes are a protocol buffer `Event`. Source: TensorFlow's
// tensorflow/core/lib/io/record_writer.cc and tensorboard/compat/proto/{event,summary}.proto.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "models/base/file_descriptor.h"

namespace lora {

// CRC-32C (Castagnoli), as of iSCSI.
uint32_t crc32c(std::string_view bytes);

class EventFile {
 public:
  // Opens a file of its own in `directory`, which it makes where it is missing. TensorBoard then forgets what earlier
  // files there tell of steps after `last_step`, the one that the run continues from (0: it begins). Throws StorageError.
  EventFile(const std::filesystem::path& directory, int64_t last_step);

  // A row of metrics.jsonl: each number as a scalar, "train/loss" or, for eval_loss, "validation/loss". null is not a
  // number. Throws StorageError.
  void add(const nlohmann::ordered_json& row);

 private:
  void append(const std::string& event);

  std::filesystem::path path_;
  FileDescriptor file_;
};

}  // namespace lora
