#include "models/engine/row_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "models/base/numbers.h"
#include "models/base/threads.h"
#include "models/engine/cpu/table.h"

namespace lora {
namespace {

using kernels::RowEncoding;
using kernels::RowOrder;
using kernels::RowWeight;

// Outputs that a kernel computes together.
constexpr int64_t kOutputStep = 32;
static_assert(kOutputStep % kernels::kUpPanel == 0);

at::Tensor as_floats(const at::Tensor& t) {
  return t.defined() ? t.detach().to(at::kFloat).contiguous() : at::Tensor();
}

const float* floats(const at::Tensor& t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }

// (rank, out) as RowFinish has it.
at::Tensor up_panels(const at::Tensor& up) {
  constexpr auto panel = static_cast<int64_t>(kernels::kUpPanel);
  const int64_t out = up.size(1), panels = ceil_div(out, panel);
  return at::constant_pad_nd(up, {0, panels * panel - out})
      .view({up.size(0), panels, panel})
      .transpose(0, 1)
      .contiguous();
}

RowWeight dense_rows(const at::Tensor& matrix) {
  const bool half = matrix.scalar_type() == at::kBFloat16;
  return {.encoding = half ? RowEncoding::kBf16 : RowEncoding::kFloat,
          .values = matrix.const_data_ptr(),
          .out = as_size(matrix.size(0)),
          .in = as_size(matrix.size(1)),
          .half = half};
}

// The weight where it is, or unpacked where nothing reads its encoding. dtype: of the model.
RowWeight rows_of_weight(const WeightHandle& weight, at::ScalarType dtype, std::vector<at::Tensor>& kept) {
  if (weight.packed()) {
    if (const auto encoded = weight.packed()->encoded_rows()) {
      kept.push_back(encoded->values);
      kept.push_back(encoded->scales);
      return {.encoding = encoded->encoding,
              .values = encoded->values.const_data_ptr(),
              .scales = floats(encoded->scales),
              .out = as_size(weight.out_features()),
              .in = as_size(weight.in_features()),
              .half = dtype == at::kBFloat16};
    }
  }
  at::Tensor matrix = weight.matrix().detach().contiguous();
  if (matrix.scalar_type() != at::kBFloat16) matrix = matrix.to(at::kFloat);
  kept.push_back(matrix);
  return dense_rows(matrix);
}

}  // namespace

RowLinear::RowLinear(const std::vector<LinearParts>& parts, at::ScalarType dtype) {
  const at::NoGradGuard no_gradients;
  const auto keep = [&](at::Tensor t) { return kept_.emplace_back(std::move(t)); };
  std::vector<at::Tensor> downs;
  for (const LinearParts& part : parts) {
    One one{.weight = rows_of_weight(part.weight, dtype, kept_), .finish = {}, .column = out_, .low = rank_};
    one.finish.bias = floats(keep(as_floats(part.bias)));
    if (part.magnitude.defined()) one.finish.gain = floats(keep(as_floats(part.magnitude / part.row_norm)));
    std::vector<at::Tensor> ups;
    const auto add_pair = [&](const at::Tensor& a, const at::Tensor& b, double scale) {
      if (!a.defined()) return;
      downs.push_back(a.detach().to(at::kFloat));
      ups.push_back((b.detach().to(at::kFloat) * scale).t());
    };
    add_pair(part.lora_A, part.lora_B, part.scaling);
    add_pair(part.start_A, part.start_B, -part.scaling);
    if (!ups.empty()) {
      const at::Tensor up = at::cat(ups).to(dtype);
      one.finish.up = keep(up_panels(up)).const_data_ptr();
      one.finish.half = dtype == at::kBFloat16;
      one.finish.rank = as_size(up.size(0));
      rank_ += up.size(0);
    }
    in_ = part.weight.in_features();
    out_ += part.weight.out_features();
    all_.push_back(one);
  }
  if (rank_ > 0) down_ = dense_rows(keep(at::cat(downs).to(dtype).contiguous()));
}

kernels::LaidRows RowProducts::laid(const RowWeight& weight) const {
  const RowOrder order = kernels::row_product_kernels().order(weight, x_.rows);
  return {order, order == RowOrder::kPlain ? x_.data : floats(laid_[static_cast<size_t>(order)]), x_.columns};
}

void RowProducts::lay(std::span<const RowRun> runs, kernels::Matrix<const float> x) {
  const kernels::RowProductKernels& k = kernels::row_product_kernels();
  x_ = x;
  std::array<bool, kernels::kRowOrders> is_read{};
  const auto note = [&](const RowWeight& weight) { is_read[static_cast<size_t>(k.order(weight, x.rows))] = true; };
  for (const RowRun& run : runs) {
    if (run.linear->rank_ > 0) note(run.linear->down_);
    for (const auto& one : run.linear->all_) note(one.weight);
  }
  for (size_t i = 1; i < is_read.size(); ++i) {
    if (!is_read[i]) continue;
    const auto order = static_cast<RowOrder>(i);
    const auto size = static_cast<int64_t>(kernels::laid_floats(order, x.rows, x.columns));
    if (!laid_[i].defined() || laid_[i].numel() < size) laid_[i] = at::empty({size}, at::kFloat);
    k.lay(order, x, laid_[i].data_ptr<float>());
  }
}

void RowProducts::low_activations(std::span<const RowRun> runs) {
  constexpr int64_t kRanks = 32;  // that a thread takes at a time
  int64_t most = 0, pieces = 0;
  for (const RowRun& run : runs) {
    most = std::max(most, run.linear->rank_);
    pieces += ceil_div(run.linear->rank_, kRanks);
  }
  low_ = {nullptr, x_.rows, as_size(most), as_size(most)};
  if (most == 0) return;
  if (low_memory_.size() < x_.rows * low_.columns) low_memory_.resize(x_.rows * low_.columns);
  low_.data = low_memory_.data();
  share_out(pieces, [&](int64_t piece, int64_t) {
    size_t i = 0;
    for (; piece >= ceil_div(runs[i].linear->rank_, kRanks); ++i) piece -= ceil_div(runs[i].linear->rank_, kRanks);
    const RowRun& run = runs[i];
    const RowWeight& down = run.linear->down_;
    const int64_t first = piece * kRanks, count = std::min(kRanks, run.linear->rank_ - first);
    kernels::row_product_kernels().run(down, laid(down), as_size(run.first), as_size(first), as_size(count),
                                       low_.row_range(as_size(run.first), as_size(run.count)));
  });
}

void RowProducts::run(std::span<const RowRun> runs, kernels::Matrix<const float> x, kernels::Matrix<float> y) {
  lay(runs, x);
  low_activations(runs);
  const RowLinear& shape = *runs.front().linear;
  // Small enough pieces for every thread to be busy to the end, large enough for the cost of handing them out.
  const int64_t threads = at::get_num_threads();
  const int64_t each =
      std::max<int64_t>(round_up(ceil_div(shape.out_, threads == 1 ? 1 : 6 * threads), kOutputStep), kOutputStep);
  int64_t pieces = 0;
  for (const auto& one : shape.all_) pieces += ceil_div(static_cast<int64_t>(one.weight.out), each);
  share_out(pieces, [&](int64_t piece, int64_t) {
    const kernels::RowProductKernels& k = kernels::row_product_kernels();
    size_t index = 0;
    const auto pieces_of = [&](size_t i) { return ceil_div(static_cast<int64_t>(shape.all_[i].weight.out), each); };
    for (; piece >= pieces_of(index); ++index) piece -= pieces_of(index);
    const size_t out = shape.all_[index].weight.out, first = as_size(piece * each);
    const size_t count = std::min(as_size(each), out - first);
    const auto results = y.column_range(as_size(shape.all_[index].column), out);
    for (size_t i = 0; i < runs.size();) {
      const RowWeight& weight = runs[i].linear->all_[index].weight;
      const auto begin = as_size(runs[i].first);
      size_t end = begin;
      for (; i < runs.size() && runs[i].linear->all_[index].weight.values == weight.values; ++i) {
        end = as_size(runs[i].first + runs[i].count);
      }
      k.run(weight, laid(weight), begin, first, count, results.row_range(begin, end - begin));
    }
    for (const RowRun& run : runs) {
      const auto& one = run.linear->all_[index];
      if (!one.finish.does_something()) continue;
      kernels::RowFinish finish = one.finish;
      const auto begin = as_size(run.first), rows = as_size(run.count);
      if (finish.rank > 0) finish.low = low_.row_range(begin, rows).column_range(as_size(one.low), finish.rank);
      k.finish(finish, first, count, results.row_range(begin, rows));
    }
  });
}

}  // namespace lora
