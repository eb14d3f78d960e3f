#pragma once
// GGUF version 3 (https://github.com/ggml-org/ggml, docs/gguf.md): llama.cpp's file of a model or an adapter.
// File: header, typed metadata, the tensors' names, types, shapes and offsets, then their bytes, each tensor at a
// multiple of 32 (general.alignment). Little-endian. Shapes here are LibTorch's, outermost first; the file has them the
// other way round.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "models/io/ggml_types.h"
#include "models/io/lazy_tensor.h"

namespace lora {

class MappedFile;

// The place of an alternative is its type code in the file, of a value and of an array's elements (which are no arrays
// here).
using GgufArray = std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>,
                               std::vector<uint32_t>, std::vector<int32_t>, std::vector<float>, std::vector<bool>,
                               std::vector<std::string>, std::monostate, std::vector<uint64_t>, std::vector<int64_t>,
                               std::vector<double>>;
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool, std::string,
                               GgufArray, uint64_t, int64_t, double>;
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;  // in the file's order

// What stands under `key`, or null.
const GgufValue* find_value(const GgufMetadata& metadata, std::string_view key);
// For a person: "32", "llama", "[32000 × string]".
std::string value_text(const GgufValue& value);

struct GgufTensor {
  LazyTensor source;  // floating point; its name is the file's
  GgmlType type;      // rows of a length that is a multiple of ggml_block(type)
};

// Writes the file whole or not at all (see atomic_file.h), in the order given, encoding a piece of one tensor at a
// time. Throws ModelError for what the format cannot hold (a name or key twice, more than 4 dimensions), NumericsError
// where a value is beyond F16's range, StorageError when writing fails.
void write_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                const std::vector<GgufTensor>& tensors);

struct GgufEntry {
  uint32_t type;  // a GgmlType, or a code of ggml's that is not read here
  std::vector<int64_t> shape;
  uint64_t begin;  // bytes from the start of the file
};

// Reading from several threads is safe.
class GgufFile {
 public:
  // Maps the file and checks the whole of what stands before the tensors' bytes. Whatever the bytes are, the outcome is
  // a valid object or a ModelError naming file, key or tensor, what was found and what was wanted.
  explicit GgufFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const GgufMetadata& metadata() const { return metadata_; }
  const std::map<std::string, GgufEntry>& entries() const { return entries_; }

  // The value of a key of that type; ModelError where there is none.
  template <typename T>
  const T& value(const std::string& key) const {
    const GgufValue* found = find_value(metadata_, key);
    if (found && std::holds_alternative<T>(*found)) return std::get<T>(*found);
    fail_value(key, found);
  }

  // A float32 CPU tensor, decoded. ModelError for a name that is not there, a type that is not read, or bytes beyond
  // the file's end.
  at::Tensor tensor(const std::string& name) const;

 private:
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_value(const std::string& key, const GgufValue* found) const;
  void read();

  std::filesystem::path path_;
  std::shared_ptr<MappedFile> file_;
  GgufMetadata metadata_;
  std::map<std::string, GgufEntry> entries_;
};

}  // namespace lora
