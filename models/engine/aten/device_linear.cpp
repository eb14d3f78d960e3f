#include "models/engine/aten/device_linear.h"

#include <ATen/ATen.h>

#include "models/engine/operations.h"

namespace lora::aten {
namespace {

bool is_same_weight(const WeightHandle& a, const WeightHandle& b) {
  if (a.packed() || b.packed()) return a.packed() == b.packed();
  return a.dense().const_data_ptr() == b.dense().const_data_ptr() && a.dense().scalar_type() == b.dense().scalar_type();
}

}  // namespace

DeviceLinear::DeviceLinear(const std::vector<LinearParts>& parts, at::ScalarType dtype) : dtype_(dtype) {
  const at::NoGradGuard no_gradients;
  const auto wide = wide_dtype(dtype);
  std::vector<at::Tensor> downs;
  int64_t rank = 0;
  for (const LinearParts& part : parts) {
    One one{.weight = part.weight, .column = out_, .low = rank};
    if (part.bias.defined()) one.bias = part.bias.detach().to(wide);
    if (part.magnitude.defined()) one.gain = (part.magnitude.detach() / part.row_norm).to(wide);
    std::vector<at::Tensor> ups;
    const auto add_pair = [&](const at::Tensor& a, const at::Tensor& b, double scale) {
      if (!a.defined()) return;
      downs.push_back(a.detach().to(wide));
      ups.push_back(b.detach().to(wide).t() * scale);
      rank += a.size(0);
    };
    add_pair(part.lora_A, part.lora_B, part.scaling);
    add_pair(part.start_A, part.start_B, -part.scaling);
    if (!ups.empty()) one.up = at::cat(ups);
    out_ += part.weight.out_features();
    all_.push_back(std::move(one));
  }
  if (rank > 0) down_ = at::cat(downs).t();
}

// What each model has beside the products with the weights.
void DeviceLinear::finish(const at::Tensor& x, const at::Tensor& y) const {
  at::Tensor low;
  if (down_.defined()) low = at::mm(x.to(down_.scalar_type()), down_);
  for (const One& one : all_) {
    at::Tensor to = y.narrow(1, one.column, one.weight.out_features());
    if (one.up.defined()) to.add_(at::mm(low.narrow(1, one.low, one.up.size(0)), one.up));
    if (one.gain.defined()) to.mul_(one.gain);
    if (one.bias.defined()) to.add_(one.bias);
  }
}

void DeviceLinear::run(std::span<const Run> runs, const at::Tensor& x, const at::Tensor& y) {
  const DeviceLinear& shape = *runs.front().linear;
  for (size_t i = 0; i < shape.all_.size(); ++i) {
    for (size_t r = 0; r < runs.size();) {
      const One& one = runs[r].linear->all_[i];
      const int64_t first = runs[r].first;
      int64_t count = 0;
      for (; r < runs.size() && is_same_weight(runs[r].linear->all_[i].weight, one.weight); ++r) count += runs[r].count;
      at::Tensor to = y.narrow(0, first, count).narrow(1, one.column, one.weight.out_features());
      at::mm_out(to, x.narrow(0, first, count), one.weight.for_product(shape.dtype_).t());
    }
  }
  for (const Run& one : runs) one.linear->finish(x.narrow(0, one.first, one.count), y.narrow(0, one.first, one.count));
}

}  // namespace lora::aten
