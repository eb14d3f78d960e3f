#include "models/io/same_values.h"

#include <ATen/ATen.h>

namespace lora {

bool same_values(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return false;
  const at::ScalarType dtype = a.scalar_type();
  const bool comparable = dtype == b.scalar_type() &&
                          (dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kDouble);
  return comparable ? a.equal(b) : a.to(at::kFloat).equal(b.to(at::kFloat));
}

}  // namespace lora
