#pragma once
// What a person gives as a model: that it is the directory of one that can be computed, and what it is otherwise.

#include <filesystem>
#include <string>

namespace lora {

// Throws ModelError where `path` is not a directory: it is not there (with the absolute path), or it is a file, whose
// kind the message says.
void expect_directory(const std::filesystem::path& path);

// The same, and throws where the directory does not hold a model of a supported family: it says what the
// directory is instead (a run, an adapter, a cache of huggingface_hub, GGUF files, Meta's), or which model_type it has.
void expect_model_directory(const std::filesystem::path& path);

// "; nothing is downloaded: …, run hf download NAME --local-dir DIR" for a path that looks like a name on the
// Hugging Face Hub and leads nowhere here; else empty. `options`: of the command, with a space behind.
std::string hub_hint(const std::string& path, const std::string& options);

}  // namespace lora
