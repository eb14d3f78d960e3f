#pragma once
// Tensors whose memory is a mapped file's.

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>

namespace lora {

class MappedFile;

// The bytes from `data` on, which lie in `file`; keeps the file mapped.
at::Tensor file_view(std::shared_ptr<MappedFile> file, std::byte* data, at::IntArrayRef shape, at::ScalarType dtype);

// Whether t, whole or in part, is such a tensor.
bool is_file_view(const at::Tensor& t);

// Gives back the memory of the whole pages of t, a contiguous file view that nothing was written into; the next touch
// reads them again, from the system's cache of the file where that still has them. Does nothing to other tensors, nor
// to those that are trained.
void let_pages_go(const at::Tensor& t);

}  // namespace lora
