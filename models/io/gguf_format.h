#pragma once
// Constants of the GGUF format for its reader and its writer.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lora {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint64_t kGgufAlignment = 32;  // the default of general.alignment
inline constexpr size_t kGgufDimensions = 4;
inline constexpr size_t kGgufLongestName = 63;  // of a tensor; ggml has 64 bytes, including the NUL

}  // namespace lora
