#pragma once
// A tensor that a file is to hold and that is not in memory before it is written.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lora {

struct LazyTensor {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  std::function<at::Tensor()> make;  // of that dtype and shape; any device, may be strided or a view

  size_t bytes() const;
};

// make(), contiguous and on the CPU. Throws ModelError where it is not what the description says.
at::Tensor made(const LazyTensor& tensor);

}  // namespace lora
