#pragma once
// Scalars that a device is still to compute, read together: the host waits for the device once for all of them.

#include <ATen/core/Tensor.h>

#include <vector>

namespace lora {

class Readings {
 public:
  // read() writes the value of the scalar (), of any dtype, to `to`, which must live until then.
  void add(const at::Tensor& scalar, double& to) { all_.push_back({scalar.detach(), &to}); }

  // Of scalars on the CPU each is read; those of a device come by one copy.
  void read();

 private:
  struct One {
    at::Tensor scalar;
    double* to;
  };
  std::vector<One> all_;
};

}  // namespace lora
