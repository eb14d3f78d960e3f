#pragma once
// Memory that ran out, among the exceptions of libraries. What rewords exceptions passes it on: the program's message
// for it is one, and names no file.

#include <exception>
#include <new>
#include <string_view>

namespace lora {

// Memory of a GPU, of which LibTorch's allocators say no more than this in common.
inline bool is_out_of_device_memory(const std::exception& error) {
  return std::string_view(error.what()).find("out of memory") != std::string_view::npos;
}

inline bool is_out_of_memory(const std::exception& error) {
  // ATen's allocator has an exception of its own kind.
  return dynamic_cast<const std::bad_alloc*>(&error) || is_out_of_device_memory(error) ||
         std::string_view(error.what()).find("DefaultCPUAllocator") != std::string_view::npos;
}

}  // namespace lora
