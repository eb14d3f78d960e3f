#pragma once
// Tensors that view a mapped file.

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>

namespace lora {

class MappedFile;

// A tensor over the bytes at `data`, which must lie in `file`. The tensor keeps the file mapped.
at::Tensor file_view(std::shared_ptr<MappedFile> file, std::byte* data, at::IntArrayRef shape, at::ScalarType dtype);

// True if t is such a tensor or a view of one.
bool is_file_view(const at::Tensor& t);

// Releases the memory of the whole pages of t, a contiguous file view that was never written. The next access reads
// them again, from the page cache if they are still there. Does nothing for other tensors and for tensors that are
// trained.
void release_pages(const at::Tensor& t);

}  // namespace lora
