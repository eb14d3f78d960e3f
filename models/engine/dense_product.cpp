#include "models/engine/dense_product.h"

#include <ATen/ATen.h>

#include "models/engine/cpu/processor.h"
#include "models/engine/operations.h"

namespace lora {

bool is_slow_in_library(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kBFloat16 && !kernels::library_has_bf16;
}

at::Tensor dense_product(const at::Tensor& a, const at::Tensor& m, bool transposed) {
  const int64_t columns = m.size(transposed ? 0 : 1);
  if (is_slow_in_library(a)) {
    const Operations& operations = *operations_for(a);
    if (operations.takes_product(a.scalar_type(), a.size(0), {columns, a.size(1)})) {
      const auto by_rows = [](const at::Tensor& t) { return t.stride(1) == 1 ? t : t.contiguous(); };
      const at::Tensor y = at::empty({a.size(0), columns}, a.options());
      const WeightProduct product{.terms = {{by_rows(a), by_rows(m), transposed}}, .y = y};
      operations.weight_products({&product, 1});
      return y;
    }
  }
  return at::mm(a, transposed ? m.t() : m);
}

}  // namespace lora
