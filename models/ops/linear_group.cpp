#include "models/ops/linear_group.h"

#include <ATen/ATen.h>

#include "models/ops/dropout.h"
#include "models/ops/profile.h"

namespace lora {
namespace {

bool trained(const at::Tensor& t) { return t.defined() && t.requires_grad(); }

}  // namespace

LinearGroup::LinearGroup(std::vector<LinearParts> parts, at::ScalarType dtype)
    : parts_(std::move(parts)), dtype_(dtype) {
  for (const LinearParts& part : parts_) {
    out_ += part.weight.size(0);
    trains_weights_ |= trained(part.weight);
    if (!part.lora_A.defined()) continue;
    rank_ += part.lora_A.size(0);
    drops_ |= part.dropout > 0;
  }
}

double LinearGroup::flops(const at::Tensor& x) const {
  return 2.0 * static_cast<double>(x.numel()) * static_cast<double>(out_);
}

void LinearGroup::project(const at::Tensor& x, at::Tensor& y, bool add) const {
  const WorkScope scope(Work::kProducts, flops(x));
  int64_t column = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.size(0);
    at::Tensor slice = y.narrow(1, column, out);
    column += out;
    const at::Tensor weight = part.weight.to(dtype_).t();
    if (add) {
      slice.addmm_(x, weight);
    } else {
      at::mm_out(slice, x, weight);
    }
    if (part.bias.defined()) slice.add_(part.bias.to(dtype_));
  }
}

void LinearGroup::add_low(const at::Tensor& low, at::Tensor& y) const {
  const WorkScope scope(Work::kAdapters);
  int64_t column = 0, begin = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.size(0);
    if (part.lora_A.defined()) {
      const int64_t rank = part.lora_A.size(0);
      y.narrow(1, column, out).addmm_(low.narrow(1, begin, rank), (part.lora_B * part.scaling).to(dtype_).t());
      begin += rank;
    }
    column += out;
  }
}

LinearGroup::Kept LinearGroup::forward(const at::Tensor& x, at::Tensor& y, bool add) const {
  project(x, y, add);
  Kept kept;
  if (rank_ == 0) return kept;
  low_activations(x, kept);
  add_low(kept.low, y);
  return kept;
}

void LinearGroup::low_activations(const at::Tensor& x, Kept& kept) const {
  const WorkScope scope(Work::kAdapters);
  kept.low = at::empty({x.size(0), rank_}, x.options());
  int64_t begin = 0;
  if (drops_) {
    for (const LinearParts& part : parts_) {
      if (!part.lora_A.defined()) continue;
      at::Tensor slice = kept.low.narrow(1, begin, part.lora_A.size(0));
      begin += part.lora_A.size(0);
      kept.dropout_keys.push_back(part.dropout > 0 ? draw_dropout_key() : 0);
      at::mm_out(slice, dropout_values(x, part.dropout, kept.dropout_keys.back()), part.lora_A.to(dtype_).t());
    }
  } else {
    std::vector<at::Tensor> rows;
    for (const LinearParts& part : parts_) {
      if (part.lora_A.defined()) rows.push_back(part.lora_A);
    }
    at::mm_out(kept.low, x, at::cat(rows).to(dtype_).t());
  }
}

void LinearGroup::forward_again(const at::Tensor& x, at::Tensor& y, bool add, const Kept& kept) const {
  project(x, y, add);
  if (kept.low.defined()) add_low(kept.low, y);
}

at::Tensor LinearGroup::low_gradient(const at::Tensor& dy) const {
  if (rank_ == 0) return {};
  const WorkScope scope(Work::kAdapters);
  at::Tensor dlow = at::empty({dy.size(0), rank_}, dy.options());
  int64_t column = 0, begin = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.size(0);
    if (part.lora_A.defined()) {
      at::Tensor slice = dlow.narrow(1, begin, part.lora_A.size(0));
      at::mm_out(slice, dy.narrow(1, column, out), (part.lora_B * part.scaling).to(dtype_));
      begin += part.lora_A.size(0);
    }
    column += out;
  }
  return dlow;
}

// dx = Σ dy_i W_i
void LinearGroup::through_weights(const at::Tensor& dy, at::Tensor& dx) const {
  const WorkScope scope(Work::kProducts, flops(dx));
  int64_t column = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.size(0);
    const at::Tensor slice = dy.narrow(1, column, out);
    if (column == 0) {
      at::mm_out(dx, slice, part.weight.to(dtype_));
    } else {
      dx.addmm_(slice, part.weight.to(dtype_));
    }
    column += out;
  }
}

void LinearGroup::input_gradient(const at::Tensor& dy, const at::Tensor& dlow, const Kept& kept, at::Tensor& dx) const {
  through_weights(dy, dx);
  if (rank_ == 0) return;
  const WorkScope scope(Work::kAdapters);
  std::vector<at::Tensor> rows;
  int64_t begin = 0;
  size_t key = 0;
  for (const LinearParts& part : parts_) {
    if (!part.lora_A.defined()) continue;
    const int64_t rank = part.lora_A.size(0);
    if (drops_) {
      const at::Tensor through = at::mm(dlow.narrow(1, begin, rank), part.lora_A.to(dtype_));
      dx.add_(dropout_values(through, part.dropout, kept.dropout_keys[key++]));
    } else {
      rows.push_back(part.lora_A);
    }
    begin += rank;
  }
  if (!drops_) dx.addmm_(dlow, at::cat(rows).to(dtype_));
}

void LinearGroup::parameter_gradients(const at::Tensor& dy, const at::Tensor& dlow, const at::Tensor& x,
                                      const Kept& kept, std::vector<at::Tensor>& grads) const {
  const WorkScope scope(rank_ > 0 ? Work::kAdapters : Work::kProducts, trains_weights_ ? flops(x) : 0);
  // Without dropout the gradients of all A are one product.
  at::Tensor all_a;
  if (rank_ > 0 && !drops_ && reads_input()) all_a = at::mm(dlow.t(), x);
  int64_t column = 0, begin = 0;
  size_t key = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.size(0);
    const at::Tensor slice = dy.narrow(1, column, out);
    column += out;
    if (trained(part.weight)) grads.push_back(at::mm(slice.t(), x).to(part.weight.scalar_type()));
    if (trained(part.bias)) grads.push_back(slice.sum(0, false, at::kFloat).to(part.bias.scalar_type()));
    if (!part.lora_A.defined()) continue;
    const int64_t rank = part.lora_A.size(0);
    if (trained(part.lora_A)) {
      const at::Tensor da =
          drops_ ? at::mm(dlow.narrow(1, begin, rank).t(), dropout_values(x, part.dropout, kept.dropout_keys[key]))
                 : all_a.narrow(0, begin, rank);
      grads.push_back(da.to(at::kFloat));
    }
    if (trained(part.lora_B)) {
      grads.push_back(at::mm(slice.t(), kept.low.narrow(1, begin, rank)).to(at::kFloat).mul_(part.scaling));
    }
    begin += rank;
    ++key;
  }
}

std::vector<at::Tensor> LinearGroup::parameters() const {
  std::vector<at::Tensor> all;
  for (const LinearParts& part : parts_) {
    for (const at::Tensor* t : {&part.weight, &part.bias, &part.lora_A, &part.lora_B}) {
      if (trained(*t)) all.push_back(*t);
    }
  }
  return all;
}

bool LinearGroup::reads_input() const {
  for (const LinearParts& part : parts_) {
    if (trained(part.weight) || trained(part.lora_A)) return true;
  }
  return false;
}

}  // namespace lora
