#pragma once
// Recognises files that people give in place of others, by their first bytes.

#include <filesystem>
#include <string>
#include <string_view>

namespace lora {

// What the file that begins with `bytes` is, in words for a message, with what to do: "a Git LFS pointer, not the file
// itself; run git lfs pull". Empty: none of the known kinds. A few hundred bytes are enough.
std::string file_kind(std::string_view bytes);

// The same for a file on disk. Empty where it cannot be read, too.
std::string file_kind_of(const std::filesystem::path& file);

}  // namespace lora
