#pragma once
// safetensors (https://huggingface.co/docs/safetensors): the tensor format of models, adapters and checkpoints.
// A file has a u64 little-endian header length, a JSON header, and the tensors' bytes, row-major, without gaps.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lora {

class MappedFile;

struct TensorEntry {
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  // Byte range [begin, end), counted from the end of the header.
  uint64_t begin;
  uint64_t end;
};

// Dtypes: F64 F32 F16 BF16 F8_E4M3 F8_E5M2 I64 I32 I16 I8 U64 U32 U16 U8 BOOL.
// Safe to read from several threads.
class SafetensorsFile {
 public:
  // Maps the file and checks the whole header; does not read tensor bytes. For any input, the result is a valid object
  // or a ModelError with the file, the tensor, what was found and what was expected.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, TensorEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(const std::string& name) const { return entries_.count(name) != 0; }

  // A CPU tensor that views the file and keeps it mapped, even after this object is destroyed. It is a copy only if its
  // bytes are misaligned for the dtype. All views of one file share memory; writes into them stay in this process.
  // Throws ModelError if there is no such tensor.
  at::Tensor tensor(const std::string& name) const;
  // Releases the memory of the tensor's pages. Views stay valid: the next access reads the file again. Data written
  // into the views is lost.
  void release(const std::string& name) const;

 private:
  [[noreturn]] void fail(const std::string& what) const;
  void read_header();

  std::filesystem::path path_;
  std::shared_ptr<MappedFile> file_;
  uint64_t data_offset_ = 0;
  std::map<std::string, TensorEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

struct LazyTensor;
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// Writes a complete file or none (see atomic_file.h). The bytes depend only on names, values and metadata, not on the
// given order: tensors are sorted by descending dtype width, then by name, as in the Python library. Tensors may be on
// any device and strided; one at a time is made contiguous. Throws ModelError for tensors that the format cannot hold
// (dtype, sparse, a duplicate name), StorageError if writing fails. `on_tensor`: told the bytes of each tensor as it is
// written.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {},
                       const std::function<void(size_t bytes)>& on_tensor = {});
// The same for tensors that are computed one at a time, in file order.
void stream_safetensors(const std::filesystem::path& path, const std::vector<LazyTensor>& tensors,
                        const std::map<std::string, std::string>& metadata = {});

}  // namespace lora
