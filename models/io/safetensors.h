#pragma once
// safetensors (https://huggingface.co/docs/safetensors): the one tensor format this project reads and writes.
// File: u64 little-endian header length, JSON header, then the tensors' bytes, row-major, without gaps.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
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
  // [begin, end): bytes from the end of the header.
  uint64_t begin;
  uint64_t end;
};

// Dtypes: F64 F32 F16 BF16 F8_E4M3 F8_E5M2 I64 I32 I16 I8 U64 U32 U16 U8 BOOL.
// Reading from several threads is safe.
class SafetensorsFile {
 public:
  // Maps the file and checks the whole header; tensor bytes are not read yet. Whatever the bytes are, the outcome is
  // a valid object or a ModelError naming file, tensor, what was found and what was wanted.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, TensorEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(const std::string& name) const { return entries_.count(name) != 0; }

  // A CPU tensor that views the file and keeps it mapped, also after this object is gone; a copy only where the file
  // has it misaligned for its dtype. All views of one file share memory; writes into them stay in this process.
  // Throws ModelError when there is no such tensor.
  at::Tensor tensor(const std::string& name) const;
  // Takes the tensor's pages out of this process's memory. Views stay valid and read the file again when touched, but
  // for what was written into them, which is lost.
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

// Writes the file whole or not at all (see atomic_file.h). Its bytes depend on names, values and metadata alone, not
// on the order given: wide dtypes come first, then by name, as the Python library has it. Tensors may be on any
// device and strided; one at a time is made contiguous. Throws ModelError for tensors that the format cannot hold
// (dtype, sparse, a name twice), StorageError when writing fails.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});
// The same of tensors that are made one at a time, in the file's order.
void stream_safetensors(const std::filesystem::path& path, const std::vector<LazyTensor>& tensors,
                        const std::map<std::string, std::string>& metadata = {});

}  // namespace lora
