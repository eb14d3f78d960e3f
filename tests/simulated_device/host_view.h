#pragma once
// A tensor of the simulated device as its own operations see it.

#include <ATen/core/Tensor.h>

namespace lora::test {

// The same memory as a tensor of the CPU. It keeps nothing alive.
at::Tensor host_view(const at::Tensor& on_device);

// Makes the tensor contiguous and of that size; what it held at the front of its memory stays.
void resize_on_device(const at::Tensor& on_device, at::IntArrayRef size);

}  // namespace lora::test
