#pragma once
// Which bytes a run was trained on, so that it goes on with the same ones.

#include <filesystem>
#include <string>

#include "lora/data/dataset.h"

namespace lora {

// The files of both sets with their sizes and SHA-256, as JSON: data.json in a checkpoint.
std::string data_record(const Dataset& train, const Dataset& validation);

// Throws DataError, naming the file, where `record` was written of other bytes. A checkpoint without one has nothing to
// compare.
void expect_same_data(const std::filesystem::path& record, const Dataset& train, const Dataset& validation);

}  // namespace lora
