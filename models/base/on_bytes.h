#pragma once
// How far long work on bytes is.

#include <cstdint>
#include <functional>

namespace lora {

// Called again and again: with the bytes that are done, and with all. May be empty.
using OnBytes = std::function<void(int64_t done, int64_t total)>;

}  // namespace lora
