#pragma once
// Unpacking streams, for input.cpp.

#include <memory>
#include <string>
#include <string_view>

#include "lora/data/input.h"

namespace lora {

// By the first bytes, of which four are enough: an unpacking reader of `file`, or none for bytes that are not packed.
// Streams end to end are one text, as their programs have it. read() throws DataError "PATH: …" for damage and for an
// end within a stream. `file` has to outlive it, and is read from its beginning.
std::unique_ptr<ByteSource> unpacking(std::string_view first_bytes, ByteSource& file, const std::string& path);

}  // namespace lora
