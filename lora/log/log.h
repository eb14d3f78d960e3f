#pragma once
// Log lines of the programs: "12:34:56 message" on stderr, coloured by level on a terminal and nowhere else.
// Only programs log; a library says what it found by its return value or an exception.
// spdlog stays behind these functions, as its fmt and the one that LibTorch carries cannot meet in one source.
//
// Every function may be called from any thread.

#include <filesystem>
#include <string>

namespace lora {

void log_info(const std::string& message);
void log_warning(const std::string& message);
void log_error(const std::string& message);

// From now on each line also goes, with its date, to the end of `file` (created with its parent folders), until the
// program ends or another file takes its place. Throws StorageError naming the file when it cannot be opened.
void log_to_file(const std::filesystem::path& file);

}  // namespace lora
