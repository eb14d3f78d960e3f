#pragma once
// Unpacking readers, for input.cpp.

#include <memory>
#include <string>
#include <string_view>

#include "lora/data/input.h"

namespace lora {

// Returns an unpacking reader of `file`, chosen by the first bytes (four are enough), or null for bytes that are not
// packed. Concatenated streams are one text, as in gzip and zstd. read() throws DataError "PATH: …" for damage and for
// a truncated stream. `file` must outlive it and must be at its beginning.
std::unique_ptr<ByteSource> unpacking(std::string_view first_bytes, ByteSource& file, const std::string& path);

}  // namespace lora
