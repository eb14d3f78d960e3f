// GGUF: metadata, names, shapes and every tensor's bytes.

#include "models/io/gguf.h"

#include <ATen/ATen.h>

#include "tests/fuzz/target.h"

FUZZ_TARGET(gguf) {
  const lora::test::MemoryFile file(input);
  const lora::GgufFile gguf(file.path());
  for (const auto& [key, value] : gguf.metadata()) {
    lora::value_text(value);
    if (!lora::find_value(gguf.metadata(), key)) ::abort();
  }
  for (const auto& [name, entry] : gguf.entries()) {
    try {
      if (gguf.tensor(name).sizes() != at::IntArrayRef(entry.shape)) ::abort();
    } catch (const lora::ModelError&) {  // a type that is not read, or bytes beyond the end
    }
  }
}
