#pragma once
// What this build is, for --version and for whoever reads a report of a fault.

#include <string>

namespace lora {

// "lora-train 0.1.0", then a line each for LibTorch, the instruction sets that are used here, and optional parts.
std::string about(const std::string& program);

}  // namespace lora
