// safetensors: the header, and every tensor's bytes. What is read is written, and read back to the same. Memory: what
// the header's tensors of no bytes need.

#include "models/io/safetensors.h"

#include <ATen/ATen.h>

#include <cstring>

#include "tests/fuzz/target.h"

namespace {

bool same_tensor(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         (a.nbytes() == 0 || std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0);
}

}  // namespace

FUZZ_TARGET(safetensors) {
  const lora::test::MemoryFile file(input);
  const lora::SafetensorsFile tensors(file.path());
  lora::NamedTensors read;
  for (const auto& [name, entry] : tensors.entries()) {
    const at::Tensor tensor = tensors.tensor(name);
    if (tensor.nbytes() != entry.end - entry.begin) ::abort();
    read.emplace_back(name, tensor.clone());  // touches every byte
    tensors.release(name);
  }
  const auto path = lora::test::input_directory() / "written.safetensors";
  lora::write_safetensors(path, read, tensors.metadata());
  const lora::SafetensorsFile again(path);
  if (again.metadata() != tensors.metadata() || again.entries().size() != read.size()) ::abort();
  for (const auto& [name, tensor] : read) {
    if (!same_tensor(again.tensor(name), tensor)) ::abort();
  }
}
