#pragma once
// Log lines of the programs: "12:34:56 message" on stderr. If that is a terminal, they are coloured by level, and
// folded where they are too wide for it.
// Only programs log. A library reports by its return value or an exception.
// Only log.cpp includes spdlog, because its fmt conflicts with the fmt in LibTorch's headers.
//
// Every function may be called from any thread.

#include <filesystem>
#include <string>

namespace lora {

void log_info(const std::string& message);
void log_warning(const std::string& message);
void log_error(const std::string& message);

// Writes nothing from now on: of processes that work together, one logs.
void log_nothing();

// Also appends each further line, with its date, to `file`, until the program ends or another file replaces it. Creates
// the file and its parent directories. Throws StorageError with the file's name if it cannot be opened.
void log_to_file(const std::filesystem::path& file);

}  // namespace lora
