#include "models/engine/readings.h"

#include <ATen/ATen.h>

namespace lora {

void Readings::read() {
  std::vector<at::Tensor> there;
  std::vector<double*> places;
  for (const One& one : all_) {
    if (one.scalar.is_cpu()) {
      *one.to = one.scalar.item<double>();
      continue;
    }
    there.push_back(one.scalar.to(at::kDouble));
    places.push_back(one.to);
  }
  all_.clear();
  if (there.empty()) return;
  const at::Tensor values = at::stack(there).cpu();
  for (size_t i = 0; i < places.size(); ++i) *places[i] = values.const_data_ptr<double>()[i];
}

}  // namespace lora
