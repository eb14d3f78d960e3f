#include "models/ops/linear_group.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "models/ops/dropout.h"
#include "models/ops/kernels/dispatch.h"
#include "models/ops/kernels/low_rank.h"
#include "models/ops/profile.h"
#include "models/parallel.h"

namespace lora {
namespace {

bool trained(const at::Tensor& t) { return t.defined() && t.requires_grad(); }

size_t at_size(int64_t n) { return static_cast<size_t>(n); }
int64_t padded(int64_t rank) { return static_cast<int64_t>(kernels::padded_rank(at_size(rank))); }

constexpr int64_t kRowGrain = 32, kColumnGrain = 64;

// Room for one call of a kernel by this thread.
float* scratch(int64_t floats) {
  thread_local std::vector<float> room;
  if (room.size() < at_size(floats)) room.resize(at_size(floats));
  return room.data();
}

// y (N, columns) float32 = x (N, depth) · panel.
void project_rows(const at::Tensor& x, const at::Tensor& panel, at::Tensor y) {
  const int64_t depth = x.size(1);
  kernels::for_type(x, [&](auto type) {
    using T = decltype(type);
    parallel_for(x.size(0), kRowGrain, [&](int64_t first, int64_t last) {
      kernels::low_rank_project(kernels::data<T>(x) + first * x.stride(0), at_size(x.stride(0)), at_size(last - first),
                                at_size(depth), panel.const_data_ptr<float>(), at_size(y.size(1)),
                                y.data_ptr<float>() + first * y.stride(0), at_size(y.stride(0)), scratch(32 * depth));
    });
  });
}

// y (N, columns) += x (N, depth) float32 · panel.
void add_rows(const at::Tensor& x, const at::Tensor& panel, at::Tensor y) {
  kernels::for_type(y, [&](auto type) {
    using T = decltype(type);
    parallel_for(x.size(0), kRowGrain, [&](int64_t first, int64_t last) {
      kernels::low_rank_add(x.const_data_ptr<float>() + first * x.stride(0), at_size(x.stride(0)),
                            at_size(last - first), at_size(x.size(1)), panel.const_data_ptr<float>(),
                            at_size(y.size(1)), kernels::data<T>(y) + first * y.stride(0), at_size(y.stride(0)));
    });
  });
}

// scale · pᵀ · x: (rank, columns) float32 from p (N, rank) float32 and x (N, columns).
at::Tensor thin_gradient(const at::Tensor& p, const at::Tensor& x, double scale) {
  at::Tensor out = at::empty({p.size(1), x.size(1)}, at::kFloat);
  kernels::for_type(x, [&](auto type) {
    using T = decltype(type);
    parallel_for((x.size(1) + kColumnGrain - 1) / kColumnGrain, 1, [&](int64_t first, int64_t last) {
      const int64_t begin = first * kColumnGrain, end = std::min(last * kColumnGrain, x.size(1));
      kernels::low_rank_gradient(p.const_data_ptr<float>(), at_size(p.stride(0)), at_size(p.size(1)),
                                 kernels::data<T>(x) + begin, at_size(x.stride(0)), at_size(x.size(0)),
                                 at_size(end - begin), static_cast<float>(scale), out.data_ptr<float>() + begin,
                                 at_size(out.size(1)));
    });
  });
  return out;
}

// scale · m (depth, columns) with columns padded to whole vectors; m may be a view of any strides.
at::Tensor one_panel(const at::Tensor& m, double scale) {
  const int64_t columns = padded(m.size(1));
  at::Tensor panel = columns == m.size(1) ? at::empty({m.size(0), columns}, m.options())
                                          : at::zeros({m.size(0), columns}, m.options());
  at::Tensor real = panel.narrow(1, 0, m.size(1));
  at::mul_out(real, m, at::scalar_tensor(scale, m.options()));
  return panel;
}

}  // namespace

LinearGroup::LinearGroup(std::vector<LinearParts> parts, at::ScalarType dtype)
    : parts_(std::move(parts)), dtype_(dtype) {
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    trains_weights_ |= trained(part.weight.dense());
    if (part.lora_A.defined()) {
      adapters_.push_back({&part, out_, out, rank_, part.lora_A.size(0)});
      rank_ += padded(part.lora_A.size(0));
      drops_ |= part.dropout > 0;
    }
    out_ += out;
  }
}

double LinearGroup::flops(const at::Tensor& x) const {
  return 2.0 * static_cast<double>(x.numel()) * static_cast<double>(out_);
}

void LinearGroup::project(const at::Tensor& x, at::Tensor& y, bool add) const {
  const WorkScope scope(Work::kProducts, flops(x));
  int64_t column = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    at::Tensor slice = y.narrow(1, column, out);
    column += out;
    const at::Tensor weight = part.weight.for_product(dtype_).t();
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
  for (const Adapter& a : adapters_) {
    add_rows(low.narrow(1, a.low, a.rank), one_panel(a.part->lora_B.detach().t(), a.part->scaling),
             y.narrow(1, a.column, a.out));
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
  kept.low = at::empty({x.size(0), rank_}, at::kFloat);
  if (drops_) {
    for (const Adapter& a : adapters_) {
      kept.dropout_keys.push_back(a.part->dropout > 0 ? draw_dropout_key() : 0);
      project_rows(dropout_values(x, a.part->dropout, kept.dropout_keys.back()),
                   one_panel(a.part->lora_A.detach().t(), 1), kept.low.narrow(1, a.low, padded(a.rank)));
    }
    return;
  }
  // All at once: x is read a single time.
  std::vector<at::Tensor> panels;
  for (const Adapter& a : adapters_) panels.push_back(one_panel(a.part->lora_A.detach().t(), 1));
  project_rows(x, panels.size() == 1 ? panels[0] : at::cat(panels, 1), kept.low);
}

void LinearGroup::forward_again(const at::Tensor& x, at::Tensor& y, bool add, const Kept& kept) const {
  project(x, y, add);
  if (kept.low.defined()) add_low(kept.low, y);
}

at::Tensor LinearGroup::low_gradient(const at::Tensor& dy) const {
  if (rank_ == 0) return {};
  const WorkScope scope(Work::kAdapters);
  at::Tensor dlow = at::empty({dy.size(0), rank_}, at::kFloat);
  for (const Adapter& a : adapters_) {
    project_rows(dy.narrow(1, a.column, a.out), one_panel(a.part->lora_B.detach(), a.part->scaling),
                 dlow.narrow(1, a.low, padded(a.rank)));
  }
  return dlow;
}

// dx = Σ dy_i W_i
void LinearGroup::through_weights(const at::Tensor& dy, at::Tensor& dx) const {
  const WorkScope scope(Work::kProducts, flops(dx));
  int64_t column = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    const at::Tensor slice = dy.narrow(1, column, out);
    if (column == 0) {
      at::mm_out(dx, slice, part.weight.for_product(dtype_));
    } else {
      dx.addmm_(slice, part.weight.for_product(dtype_));
    }
    column += out;
  }
}

void LinearGroup::input_gradient(const at::Tensor& dy, const at::Tensor& dlow, const Kept& kept, at::Tensor& dx) const {
  through_weights(dy, dx);
  if (rank_ == 0) return;
  const WorkScope scope(Work::kAdapters);
  if (drops_) {
    for (size_t i = 0; i < adapters_.size(); ++i) {
      const Adapter& a = adapters_[i];
      at::Tensor through = at::zeros_like(dx);
      add_rows(dlow.narrow(1, a.low, a.rank), one_panel(a.part->lora_A.detach(), 1), through);
      dx.add_(dropout_values(through, a.part->dropout, kept.dropout_keys[i]));
    }
    return;
  }
  // All at once: dx is read and written a single time.
  at::Tensor panel = at::zeros({rank_, padded(dx.size(1))}, at::kFloat);
  for (const Adapter& a : adapters_) {
    panel.narrow(0, a.low, a.rank).narrow(1, 0, dx.size(1)).copy_(a.part->lora_A.detach());
  }
  add_rows(dlow, panel, dx);
}

void LinearGroup::parameter_gradients(const at::Tensor& dy, const at::Tensor& dlow, const at::Tensor& x,
                                      const Kept& kept, std::vector<at::Tensor>& grads) const {
  const WorkScope scope(rank_ > 0 ? Work::kAdapters : Work::kProducts, trains_weights_ ? flops(x) : 0);
  // Without dropout the gradients of all A are one product.
  at::Tensor all_a;
  if (rank_ > 0 && !drops_ && reads_input()) all_a = thin_gradient(dlow, x, 1);
  int64_t column = 0;
  size_t next = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    const at::Tensor slice = dy.narrow(1, column, out);
    column += out;
    if (trained(part.weight.dense())) grads.push_back(at::mm(slice.t(), x).to(part.weight.dense().scalar_type()));
    if (trained(part.bias)) grads.push_back(slice.sum(0, false, at::kFloat).to(part.bias.scalar_type()));
    if (!part.lora_A.defined()) continue;
    const size_t index = next++;
    const Adapter& a = adapters_[index];
    if (trained(part.lora_A)) {
      grads.push_back(drops_ ? thin_gradient(dlow.narrow(1, a.low, a.rank),
                                             dropout_values(x, part.dropout, kept.dropout_keys[index]), 1)
                             : all_a.narrow(0, a.low, a.rank));
    }
    if (trained(part.lora_B)) {
      grads.push_back(thin_gradient(kept.low.narrow(1, a.low, a.rank), slice, part.scaling).t());
    }
  }
}

std::vector<at::Tensor> LinearGroup::parameters() const {
  std::vector<at::Tensor> all;
  for (const LinearParts& part : parts_) {
    for (const at::Tensor* t : {&part.weight.dense(), &part.bias, &part.lora_A, &part.lora_B}) {
      if (trained(*t)) all.push_back(*t);
    }
  }
  return all;
}

bool LinearGroup::reads_input() const {
  for (const LinearParts& part : parts_) {
    if (trained(part.weight.dense()) || trained(part.lora_A)) return true;
  }
  return false;
}

}  // namespace lora
