#pragma once
// Which bytes a run was trained on, so that a resumed run uses the same ones.

#include <filesystem>
#include <string>

#include "lora/data/dataset.h"
#include "lora/data/sample_stream.h"

namespace lora {

// The text of data.json, see below.
std::string data_record(const Dataset& train, const SampleStream* stream, const Dataset& validation);

// Writes data.json into a checkpoint's directory: the files of both sets with their sizes and SHA-256. Of a stream
// (null: none), in place of `train`: each source with its bytes on the disk, and how many samples it has given so far
// with their SHA-256. Throws StorageError.
void write_data_record(const std::filesystem::path& checkpoint, const Dataset& train, const SampleStream* stream,
                       const Dataset& validation);

// Throws DataError, naming the file, where the checkpoint was trained on other bytes. A checkpoint without a record has
// nothing to compare. A stream has to stand where it stood then.
void expect_same_data(const std::filesystem::path& checkpoint, const Dataset& train, const SampleStream* stream,
                      const Dataset& validation);

}  // namespace lora
