#pragma once

namespace lora {

// The hash of the sources of lora/data at build time: 64 hexadecimal digits. The build generates its definition.
extern const char* const kSourceHash;

}  // namespace lora
