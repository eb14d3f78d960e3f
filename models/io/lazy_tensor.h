#pragma once
// A tensor for a file, computed only when it is written.

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
  std::function<at::Tensor()> make;  // result: that dtype and shape, any device; may be strided or a view

  size_t bytes() const;
};

// The result of make(), contiguous and on the CPU. Throws ModelError if its dtype or shape differs from the
// description.
at::Tensor made(const LazyTensor& tensor);

}  // namespace lora
