#pragma once

namespace lora {

// Of this folder's sources as they were built: 64 hexadecimal digits. Defined in a source that the build writes.
extern const char* const kSourceHash;

}  // namespace lora
