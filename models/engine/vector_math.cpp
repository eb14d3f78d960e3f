#include "models/engine/vector_math.h"

#include <ATen/ATen.h>

#include <mutex>

namespace lora {

void settle_vector_math() {
  static std::once_flag once;
  std::call_once(once, [] {
    for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
      const at::Tensor x = at::full({1}, 0.5, dtype);
      for (const auto f : {at::acos, at::asin, at::atan, at::cos, at::erf, at::erfc, at::erfinv, at::exp, at::log,
                           at::log2, at::log10, at::sin, at::sqrt, at::tan, at::tanh, at::trunc}) {
        f(x);
      }
    }
  });
}

}  // namespace lora
