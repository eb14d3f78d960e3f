#include "models/engine/linear_group.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

#include "models/engine/conventions.h"
#include "models/engine/dense_product.h"
#include "models/engine/dropout.h"
#include "models/engine/operations.h"
#include "models/engine/profile.h"
#include "models/io/file_view.h"

namespace lora {
namespace {

bool trained(const at::Tensor& t) { return t.defined() && t.requires_grad(); }

// Σ over the rows of a ⊙ b: (columns) wide from (N, columns) each. Some rows at a time, since they are widened.
at::Tensor column_products(const at::Tensor& a, const at::Tensor& b) {
  constexpr int64_t kRows = 64;
  const auto wide = wide_dtype(a.scalar_type());
  at::Tensor sum = at::zeros({a.size(1)}, a.options().dtype(wide));
  for (int64_t row = 0; row < a.size(0); row += kRows) {
    const int64_t end = std::min(row + kRows, a.size(0));
    sum.add_((a.slice(0, row, end).to(wide) * b.slice(0, row, end)).sum(0));
  }
  return sum;
}

}  // namespace

LinearGroup::LinearGroup(std::vector<LinearParts> parts, at::ScalarType dtype, const Operations& operations)
    : parts_(std::move(parts)), dtype_(dtype), operations_(&operations) {
  std::vector<Adapter> frozen;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    trains_weights_ |= trained(part.weight.dense());
    has_magnitudes_ |= part.magnitude.defined();
    if (part.lora_A.defined()) {
      const int64_t rank = part.lora_A.size(0);
      adapters_.push_back({&part.lora_A, &part.lora_B, part.scaling, part.dropout, out_, out, rank_, rank});
      rank_ += padded_rank(rank);
      drops_ |= part.dropout > 0;
    }
    if (part.start_A.defined()) {
      frozen.push_back({&part.start_A, &part.start_B, -part.scaling, 0, out_, out, 0, part.start_A.size(0)});
    }
    out_ += out;
  }
  trained_rank_ = rank_;
  for (Adapter& a : frozen) {
    a.low = rank_;
    rank_ += padded_rank(a.rank);
    adapters_.push_back(a);
  }
}

double LinearGroup::flops(const at::Tensor& x) const {
  return 2.0 * static_cast<double>(x.numel()) * static_cast<double>(out_);
}

bool LinearGroup::folds(int64_t rows) const {
  return std::ranges::all_of(parts_, [&](const LinearParts& part) {
    return operations_->takes_product(dtype_, rows, {part.weight.out_features(), part.weight.in_features()});
  });
}

void LinearGroup::project(const at::Tensor& x, const at::Tensor& low, const at::Tensor& base, at::Tensor& y) const {
  if (folds(x.size(0))) return project_folded(x, low, base, y);
  {
    const WorkScope scope(Work::kProducts, flops(x));
    int64_t column = 0;
    for (const LinearParts& part : parts_) {
      const int64_t out = part.weight.out_features();
      at::Tensor slice = y.narrow(1, column, out);
      const at::Tensor weight = part.weight.for_product(dtype_).t();
      if (base.defined()) {
        at::addmm_out(slice, base.narrow(1, column, out), x, weight);
      } else {
        at::mm_out(slice, x, weight);
      }
      column += out;
    }
  }
  if (rank_ > 0) add_low(low, y);
}

void LinearGroup::project_folded(const at::Tensor& x, const at::Tensor& low, const at::Tensor& base,
                                 at::Tensor& y) const {
  const WorkScope scope(Work::kProducts, flops(x));
  std::vector<WeightProduct> products;
  int64_t column = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    Folded folded;
    std::vector<at::Tensor> lows;
    for (const Adapter& a : adapters_) {
      if (a.column != column) continue;
      folded.matrices.push_back({*a.b, /*transposed=*/true, a.scaling});
      lows.push_back(low.narrow(1, a.low, padded_rank(a.rank)));
    }
    if (!lows.empty()) folded.low = lows.size() == 1 ? lows[0] : at::cat(lows, 1);
    products.push_back({{{x, part.weight.for_product(dtype_), /*transposed=*/true}},
                        std::move(folded),
                        base.defined() ? base.narrow(1, column, out) : base,
                        y.narrow(1, column, out)});
    column += out;
    // A packed weight's dense form is gone when the next one's is made.
    if (part.weight.packed()) {
      operations_->weight_products(products);
      products.clear();
    }
  }
  if (!products.empty()) operations_->weight_products(products);
}

void LinearGroup::add_biases(at::Tensor& y) const {
  int64_t column = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    if (part.bias.defined()) y.narrow(1, column, out).add_(part.bias.to(dtype_));
    column += out;
  }
}

// y = g ⊙ z + base, which may be undefined.
void LinearGroup::add_scaled(const at::Tensor& z, const at::Tensor& base, at::Tensor& y) const {
  const WorkScope scope(Work::kAdapters);
  int64_t column = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    at::Tensor to = y.narrow(1, column, out);
    const at::Tensor from = z.narrow(1, column, out);
    const at::Tensor scaled = part.magnitude.defined() ? from * (part.magnitude.detach() / part.row_norm) : from;
    to.copy_(base.defined() ? base.narrow(1, column, out) + scaled : scaled);
    column += out;
  }
}

void LinearGroup::add_low(const at::Tensor& low, at::Tensor& y) const {
  const WorkScope scope(Work::kAdapters);
  for (const Adapter& a : adapters_) {
    const LowRankFactor b{*a.b, /*transposed=*/true, a.scaling};
    operations_->add_rows(low.narrow(1, a.low, padded_rank(a.rank)), {&b, 1}, y.narrow(1, a.column, a.out));
  }
}

LinearGroup::Kept LinearGroup::forward(const at::Tensor& x, const at::Tensor& base, at::Tensor& y) const {
  Kept kept;
  if (rank_ > 0) low_activations(x, kept);
  forward_again(x, base, y, kept);
  return kept;
}

void LinearGroup::low_activations(const at::Tensor& x, Kept& kept) const {
  const WorkScope scope(Work::kAdapters);
  kept.low = at::empty({x.size(0), rank_}, x.options().dtype(wide_dtype(dtype_)));
  std::vector<LowRankFactor> all;
  for (const Adapter& a : adapters_) {
    all.push_back({*a.a, /*transposed=*/true});
    if (!drops_) continue;
    kept.dropout_keys.push_back(a.dropout > 0 ? draw_dropout_key() : 0);
    operations_->project_rows(operations_->dropout(x, a.dropout, kept.dropout_keys.back()), {&all.back(), 1},
                              kept.low.narrow(1, a.low, padded_rank(a.rank)));
  }
  if (!drops_) operations_->project_rows(x, all, kept.low);  // all at once: x is read a single time
}

void LinearGroup::forward_again(const at::Tensor& x, const at::Tensor& base, at::Tensor& y, Kept& kept) const {
  if (has_magnitudes_) {
    restore(x, kept);
    add_scaled(kept.z, base, y);
  } else {
    project(x, kept.low, base, y);
  }
  add_biases(y);
}

void LinearGroup::restore(const at::Tensor& x, Kept& kept) const {
  if (!has_magnitudes_ || kept.z.defined()) return;
  kept.z = at::empty({x.size(0), out_}, x.options());
  project(x, kept.low, /*base=*/{}, kept.z);
}

at::Tensor LinearGroup::z_gradient(const at::Tensor& dy) const {
  if (!has_magnitudes_) return dy;
  at::Tensor dz = at::empty_like(dy);
  add_scaled(dy, /*base=*/{}, dz);
  return dz;
}

at::Tensor LinearGroup::low_gradient(const at::Tensor& dz) const {
  if (rank_ == 0) return {};
  const WorkScope scope(Work::kAdapters);
  at::Tensor dlow = at::empty({dz.size(0), rank_}, dz.options().dtype(wide_dtype(dtype_)));
  for (const Adapter& a : adapters_) {
    const LowRankFactor b{*a.b, /*transposed=*/false, a.scaling};
    operations_->project_rows(dz.narrow(1, a.column, a.out), {&b, 1}, dlow.narrow(1, a.low, padded_rank(a.rank)));
  }
  return dlow;
}

// dx = Σ dz_i W_i
void LinearGroup::through_weights(const at::Tensor& dz, at::Tensor& dx) const {
  const WorkScope scope(Work::kProducts, flops(dx));
  int64_t column = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    const at::Tensor slice = dz.narrow(1, column, out);
    if (column == 0) {
      at::mm_out(dx, slice, part.weight.for_product(dtype_));
    } else {
      dx.addmm_(slice, part.weight.for_product(dtype_));
    }
    column += out;
  }
}

void LinearGroup::through_weights_folded(const at::Tensor& dz, const Folded& folded, at::Tensor& dx) const {
  const WorkScope scope(Work::kProducts, flops(dx));
  std::vector<ProductTerm> terms;
  at::Tensor done;
  int64_t column = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    terms.push_back({dz.narrow(1, column, out), part.weight.for_product(dtype_), /*transposed=*/false});
    column += out;
    // A packed weight's dense form is gone when the next one's is made.
    if (part.weight.packed() && column < out_) {
      const WeightProduct product{std::move(terms), {}, done, dx};
      operations_->weight_products({&product, 1});
      terms.clear();
      done = dx;
    }
  }
  const WeightProduct product{std::move(terms), folded, done, dx};
  operations_->weight_products({&product, 1});
}

void LinearGroup::input_gradient(const at::Tensor& dz, const at::Tensor& dlow, const Kept& kept, at::Tensor& dx) const {
  std::vector<LowRankFactor> all;
  for (const Adapter& a : adapters_) all.push_back({*a.a});
  if (folds(dz.size(0))) {
    through_weights_folded(dz, drops_ ? Folded() : Folded{dlow, all}, dx);
    if (!drops_) return;
  } else {
    through_weights(dz, dx);
  }
  if (rank_ == 0) return;
  const WorkScope scope(Work::kAdapters);
  if (!drops_) return operations_->add_rows(dlow, all, dx);  // all at once: dx is read and written a single time
  for (size_t i = 0; i < adapters_.size(); ++i) {
    const Adapter& a = adapters_[i];
    at::Tensor through = at::zeros_like(dx);
    operations_->add_rows(dlow.narrow(1, a.low, padded_rank(a.rank)), {&all[i], 1}, through);
    dx.add_(operations_->dropout(through, a.dropout, kept.dropout_keys[i]));
  }
}

void LinearGroup::parameter_gradients(const at::Tensor& dy, const at::Tensor& dz, const at::Tensor& dlow,
                                      const at::Tensor& x, const Kept& kept, std::vector<at::Tensor>& grads) const {
  const WorkScope scope(rank_ > 0 ? Work::kAdapters : Work::kProducts, trains_weights_ ? flops(x) : 0);
  // Without dropout the gradients of all A are one product.
  at::Tensor all_a;
  if (trained_rank_ > 0 && !drops_ && reads_input())
    all_a = operations_->thin_gradient(dlow.narrow(1, 0, trained_rank_), x, 1);
  int64_t column = 0;
  size_t next = 0;
  for (const LinearParts& part : parts_) {
    const int64_t out = part.weight.out_features();
    const at::Tensor slice = dz.narrow(1, column, out), dy_slice = dy.narrow(1, column, out);
    const at::Tensor z = kept.z.defined() ? kept.z.narrow(1, column, out) : at::Tensor();
    column += out;
    if (trained(part.weight.dense())) {
      grads.push_back(dense_product(slice.t(), x).to(part.weight.dense().scalar_type()));
    }
    if (trained(part.bias)) grads.push_back(dy_slice.sum(0, false, wide_dtype(dtype_)).to(part.bias.scalar_type()));
    if (!part.lora_A.defined()) continue;
    const size_t index = next++;
    const Adapter& a = adapters_[index];
    if (trained(part.lora_A)) {
      grads.push_back(
          drops_ ? operations_->thin_gradient(dlow.narrow(1, a.low, a.rank),
                                              operations_->dropout(x, part.dropout, kept.dropout_keys[index]), 1)
                 : all_a.narrow(0, a.low, a.rank));
    }
    if (trained(part.lora_B)) {
      grads.push_back(operations_->thin_gradient(kept.low.narrow(1, a.low, a.rank), slice, part.scaling).t());
    }
    if (trained(part.magnitude)) grads.push_back(column_products(dy_slice, z).div_(part.row_norm));
  }
}

std::vector<at::Tensor> LinearGroup::parameters() const {
  std::vector<at::Tensor> all;
  for (const LinearParts& part : parts_) {
    for (const at::Tensor* t : {&part.weight.dense(), &part.bias, &part.lora_A, &part.lora_B, &part.magnitude}) {
      if (trained(*t)) all.push_back(*t);
    }
  }
  return all;
}

void LinearGroup::release_weights() const {
  for (const LinearParts& part : parts_) release_pages(part.weight.dense());
}

bool LinearGroup::reads_input() const {
  for (const LinearParts& part : parts_) {
    if (trained(part.weight.dense()) || trained(part.lora_A)) return true;
  }
  return false;
}

}  // namespace lora
