#include "lora/training/measures.h"

#include <algorithm>

namespace lora {

Measures::Mean& Measures::of(std::string_view name) {
  const auto found = std::ranges::find(means_, name, &Mean::name);
  return found != means_.end() ? *found : means_.emplace_back(Mean{std::string(name)});
}

void Measures::add(std::string_view name, double sum, int64_t count) {
  if (count == 0) return;
  Mean& mean = of(name);
  mean.sum += sum;
  mean.count += count;
}

void Measures::add(std::string_view name, const at::Tensor& sum, int64_t count) {
  if (count == 0) return;
  Mean& mean = of(name);
  mean.count += count;
  unread_.push_back({static_cast<size_t>(&mean - means_.data()), sum.detach()});
}

void Measures::read_with(Readings& readings) {
  for (Unread& one : unread_) {
    if (one.sum.defined()) readings.add(one.sum, one.value);
    one.sum.reset();
  }
}

void Measures::settle() {
  for (const Unread& one : unread_) means_[one.mean].sum += one.value;
  unread_.clear();
}

void Measures::set(std::string_view name, double value) {
  Mean& mean = of(name);
  mean.sum = value;
  mean.count = 1;
  mean.is_set = true;
}

void Measures::merge(const Mean& mean) {
  if (mean.is_set) {
    set(mean.name, mean.sum);
  } else {
    add(mean.name, mean.sum, mean.count);
  }
}

const Measures::Mean* Measures::find(std::string_view name) const {
  const auto found = std::ranges::find(means_, name, &Mean::name);
  return found != means_.end() ? &*found : nullptr;
}

}  // namespace lora
