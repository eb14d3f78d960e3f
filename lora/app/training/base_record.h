#pragma once
// What a run's bits depend on beside recipe and data: the base's weights and the number of threads.

#include <filesystem>
#include <string>
#include <vector>

namespace lora {

inline constexpr const char* kBaseRecord = "base.json";  // in a checkpoint's directory

// The text of kBaseRecord: each file of the model's weights with its size and a hash of samples of it
// (sampled_sha256_of_file), and the threads of this process. To be made when a run begins: its weights are mapped then.
// Throws ModelError or StorageError.
std::string base_record(const std::filesystem::path& model_directory);

// Compares `own`, the record of a run that resumes, with that of its checkpoint. Throws ModelError, naming the file,
// where the checkpoint was trained on other weights. Returns a line for a person where the number of threads differs:
// then the sums are split otherwise, and the bits are not those of an uninterrupted run. A checkpoint without a record
// has nothing to compare.
std::vector<std::string> compare_base_record(const std::filesystem::path& checkpoint, const std::string& own,
                                             const std::filesystem::path& model_directory);

}  // namespace lora
