#pragma once
// A fuzz target is one file: FUZZ_TARGET(name) and a body that gives `input` to a parser. An input may be read or
// refused by an Error. Everything else is a finding: another exception, a signal, a sanitizer's report, more than a
// second, more memory than the parser's bound.
//
// With LORA_FUZZ (the preset fuzz) a file becomes a program for libFuzzer. Otherwise it is a test case that runs the
// inputs in tests/fuzz/corpus/NAME once: those that reach all of the parser, and those that once broke it.

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "models/base/error.h"
#include "models/base/file_descriptor.h"

namespace lora::test {

inline void write_input(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A file in memory that holds the bytes, for parsers that read a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : file_(::memfd_create("input", MFD_CLOEXEC)) {
    if (::write(file_.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) ::abort();
  }
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(file_.get()); }

 private:
  FileDescriptor file_;
};

// One directory a program, for parsers that read several files of one.
inline const std::filesystem::path& input_directory() {
  struct Directory {
    Directory() {
      std::string name = (std::filesystem::temp_directory_path() / "lora-fuzz-XXXXXX").string();
      if (::mkdtemp(name.data()) == nullptr) ::abort();
      path = name;
    }
    ~Directory() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
  };
  static const Directory directory;
  return directory.path;
}

// The input up to the first NUL, and what follows: for targets that need a file and something to do with it.
struct InputParts {
  std::string_view file, rest;
};
inline InputParts split_input(std::string_view input) {
  const size_t end = std::min(input.find('\0'), input.size());
  return {input.substr(0, end), input.substr(std::min(end + 1, input.size()))};
}

}  // namespace lora::test

#ifdef LORA_FUZZ

#define FUZZ_TARGET(name)                                                   \
  static void fuzz_##name(std::string_view input);                          \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    try {                                                                   \
      fuzz_##name({reinterpret_cast<const char*>(data), size});             \
    } catch (const lora::Error&) {                                          \
    }                                                                       \
    return 0;                                                               \
  }                                                                         \
  static void fuzz_##name(std::string_view input)

#else

#include "tests/catch.h"
#include "tests/paths.h"

namespace lora::test {

template <typename Target>
void run_corpus(const std::string& name, const Target& target) {
  int inputs = 0;
  for (const auto& file : std::filesystem::directory_iterator(source_dir() / "tests/fuzz/corpus" / name)) {
    INFO(file.path().string());
    std::ifstream in(file.path(), std::ios::binary);
    const std::string input(std::istreambuf_iterator<char>(in), {});
    try {
      target(input);
    } catch (const Error&) {
    }
    ++inputs;
  }
  CHECK(inputs > 0);
}

}  // namespace lora::test

#define FUZZ_TARGET(name)                                                              \
  static void fuzz_##name(std::string_view input);                                     \
  TEST_CASE(#name " holds its corpus") { lora::test::run_corpus(#name, fuzz_##name); } \
  static void fuzz_##name(std::string_view input)

#endif
