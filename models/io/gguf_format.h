#pragma once
// Numbers of the GGUF format that its reader and its writer share.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lora {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint64_t kGgufAlignment = 32;  // where general.alignment says nothing
inline constexpr size_t kGgufDimensions = 4;
inline constexpr size_t kGgufLongestName = 63;  // of a tensor; ggml keeps 64 bytes with the NUL

}  // namespace lora
