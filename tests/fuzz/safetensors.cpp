// safetensors: the header, and every tensor's bytes. Memory: what the header's tensors of no bytes need.

#include "models/io/safetensors.h"

#include <ATen/ATen.h>

#include "tests/fuzz/target.h"

FUZZ_TARGET(safetensors) {
  const lora::test::MemoryFile file(input);
  const lora::SafetensorsFile tensors(file.path());
  for (const auto& [name, entry] : tensors.entries()) {
    const at::Tensor tensor = tensors.tensor(name);
    if (tensor.nbytes() != entry.end - entry.begin) ::abort();
    if (tensor.clone().nbytes() != tensor.nbytes()) ::abort();  // touches every byte
  }
}
