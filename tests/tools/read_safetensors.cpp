// The reader of safetensors as a program, for scripts/peer/compare_safetensors.py.
//
//   read_safetensors     files on stdin, a JSON object a file on stdout: {"error": TEXT}, or
//                        {"tensors": {NAME: [DTYPE, SHAPE, BEGIN, END]}, "metadata": {KEY: TEXT}}
//
// A file is its length in bytes (4 bytes, little end first) and that many bytes.

#include "models/io/safetensors.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "models/base/error.h"
#include "models/base/file_descriptor.h"
#include "models/io/safetensors_dtypes.h"

namespace {

using nlohmann::json;

json description(const std::string& bytes) {
  const lora::FileDescriptor memory(::memfd_create("input", MFD_CLOEXEC));
  if (::write(memory.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("cannot write a file in memory");
  }
  try {
    const lora::SafetensorsFile file("/proc/self/fd/" + std::to_string(memory.get()));
    json tensors = json::object();
    for (const auto& [name, entry] : file.entries()) {
      tensors[name] = {lora::dtype_to_safetensors(entry.dtype), entry.shape, entry.begin, entry.end};
    }
    return {{"tensors", tensors}, {"metadata", file.metadata()}};
  } catch (const lora::ModelError& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

int main() {
  try {
    uint32_t size = 0;
    while (std::fread(&size, sizeof size, 1, stdin) == 1) {
      std::string bytes(size, '\0');
      if (std::fread(bytes.data(), 1, size, stdin) != size) throw std::runtime_error("stdin ends inside a file");
      const std::string line = description(bytes).dump(-1, ' ', true, json::error_handler_t::replace);
      std::printf("%s\n", line.c_str());
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
