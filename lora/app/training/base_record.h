#pragma once
// What a run's bits depend on beside recipe and data: the base's weights and the number of threads.

#include <filesystem>
#include <string>
#include <vector>

namespace lora {

// Writes base.json into a checkpoint's directory: each weights file of the model directory with its size and a hash of
// samples of it (sampled_sha256_of_file), and the threads of this process. Throws StorageError.
void write_base_record(const std::filesystem::path& checkpoint, const std::filesystem::path& model_directory);

// Throws ModelError, naming the file, where the checkpoint was trained on other weights. Returns a line for a person
// where the number of threads differs: then the sums are split otherwise, and the bits are not those of an
// uninterrupted run. A checkpoint without a record has nothing to compare.
std::vector<std::string> compare_base_record(const std::filesystem::path& checkpoint,
                                             const std::filesystem::path& model_directory);

}  // namespace lora
