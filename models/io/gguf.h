#pragma once
// GGUF version 3 (https://github.com/ggml-org/ggml, docs/gguf.md): llama.cpp's file format for models and adapters.
// A file has a header, typed metadata, the tensors' names, types, shapes and offsets, and then their bytes. Each tensor
// begins at a multiple of 32 (general.alignment). Little-endian. Shapes here are LibTorch's, outermost dimension first;
// the file stores them in reverse order.

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

#include "models/base/may_be_empty.h"
#include "models/io/ggml_types.h"
#include "models/io/lazy_tensor.h"

namespace lora {

class MappedFile;

// The index of an alternative is its type code in the file, for values and for elements of arrays. Nested arrays are
// not supported.
using GgufArray = std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>,
                               std::vector<uint32_t>, std::vector<int32_t>, std::vector<float>, std::vector<bool>,
                               std::vector<std::string>, MayBeEmpty, std::vector<uint64_t>, std::vector<int64_t>,
                               std::vector<double>>;
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool, std::string,
                               GgufArray, uint64_t, int64_t, double>;
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;  // in file order

// The value of `key`, or null.
const GgufValue* find_value(const GgufMetadata& metadata, std::string_view key);
// The value as text for people: "32", "llama", "[32000 × string]".
std::string value_text(const GgufValue& value);

struct GgufTensor {
  LazyTensor source;  // floating point; named as in the file
  GgmlType type;      // the row length must be a multiple of ggml_block(type)
};

// Writes a complete file or none (see atomic_file.h), in the given order. Encodes one piece of one tensor at a time.
// Throws ModelError for contents that the format cannot hold (a duplicate name or key, more than 4 dimensions),
// NumericsError for a value beyond F16's range, and StorageError if writing fails.
void write_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                const std::vector<GgufTensor>& tensors);

struct GgufEntry {
  uint32_t type;  // a GgmlType, or one of ggml's other codes, which cannot be read here
  std::vector<int64_t> shape;
  uint64_t begin;  // bytes from the start of the file
};

// Safe to read from several threads.
class GgufFile {
 public:
  // Maps the file and checks everything before the tensors' bytes. For any input, the result is a valid object or a
  // ModelError with the file, the key or tensor, what was found and what was expected.
  explicit GgufFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const GgufMetadata& metadata() const { return metadata_; }
  const std::map<std::string, GgufEntry>& entries() const { return entries_; }

  // The value of `key`. Throws ModelError if the key is missing or has another type.
  template <typename T>
  const T& value(const std::string& key) const {
    const GgufValue* found = find_value(metadata_, key);
    if (found && std::holds_alternative<T>(*found)) return std::get<T>(*found);
    fail_value(key, found);
  }

  // The decoded tensor: float32, CPU. Throws ModelError for a missing name, an unsupported type, and bytes beyond the
  // end of the file.
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
