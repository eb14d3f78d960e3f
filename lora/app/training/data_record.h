#pragma once
// Which bytes a run was trained on, so that it goes on with the same ones.

#include <filesystem>
#include <string>

#include "lora/data/dataset.h"
#include "lora/data/sample_stream.h"

namespace lora {

// The files of both sets with their sizes and SHA-256, as JSON: data.json in a checkpoint. Of a stream (null: none), in
// place of train, each source with its bytes on the disk, and how many samples it has given so far with their SHA-256.
std::string data_record(const Dataset& train, const SampleStream* stream, const Dataset& validation);

// Throws DataError, naming the file, where `record` was written of other bytes. A checkpoint without one has nothing to
// compare. A stream has to be where it was then.
void expect_same_data(const std::filesystem::path& record, const Dataset& train, const SampleStream* stream,
                      const Dataset& validation);

}  // namespace lora
