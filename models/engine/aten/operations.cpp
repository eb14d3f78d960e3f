#include "models/engine/aten/operations.h"

#include <ATen/ATen.h>

#include "models/engine/aten/flash_attention.h"
#include "models/engine/conventions.h"

namespace lora::aten {
namespace {

// x itself where it is wide: compute all results before one of them is written over it.
at::Tensor wide(const at::Tensor& x) { return x.to(wide_dtype(x.scalar_type())); }

// Columns of x (N, …) as vectors that are normed on their own: (N, count, size), wide.
at::Tensor vectors(const at::Tensor& x, int64_t column, int64_t width, int64_t size) {
  return wide(x.narrow(1, column, width).reshape({x.size(0), width / size, size}));
}

at::Tensor inverse_root_mean_square(const at::Tensor& x, double eps) {
  return x.square().mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();
}

void norm_columns(const Norm& norm, const at::Tensor& x, const at::Tensor& y, int64_t column, int64_t width) {
  const at::Tensor v = vectors(x, column, width, norm.weight.size(0));
  const at::Tensor normed = v * inverse_root_mean_square(v, norm.eps) * norm.multiplier(v.scalar_type());
  y.narrow(1, column, width).copy_(normed.reshape({x.size(0), width}));
}

// With n = v · r and r = 1 / sqrt(mean(v²) + eps): dv = r · (w ⊙ dy − n · mean(w ⊙ dy ⊙ n)).
void norm_columns_backward(const Norm& norm, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& base,
                           const at::Tensor& dx, int64_t column, int64_t width) {
  const int64_t size = norm.weight.size(0);
  const at::Tensor v = vectors(x, column, width, size), r = inverse_root_mean_square(v, norm.eps), n = v * r;
  const at::Tensor dn = vectors(dy, column, width, size) * norm.multiplier(v.scalar_type());
  const at::Tensor dv = ((dn - n * (dn * n).mean(-1, /*keepdim=*/true)) * r).reshape({x.size(0), width});
  dx.narrow(1, column, width).copy_(base.defined() ? dv + base.narrow(1, column, width) : dv);
}

void rotate(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin, const HeadLayout& layout,
            float direction) {
  const int64_t heads = layout.heads + layout.kv_heads, half = cos.size(1);
  const at::Tensor x = qkv.narrow(1, 0, heads * layout.dim).view({qkv.size(0), heads, layout.dim});
  const at::Tensor first = x.narrow(2, 0, half), second = x.narrow(2, half, half);
  const at::Tensor a = wide(first), b = wide(second), c = cos.unsqueeze(1), s = (sin * direction).unsqueeze(1);
  const at::Tensor turned = a * c - b * s;
  second.copy_(b * c + a * s);
  first.copy_(turned);
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  const auto halves = wide(gate_up).chunk(2, 1);
  return (at::silu(halves[0]) * halves[1]).to(gate_up.scalar_type());
}

void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& dy) {
  const auto halves = wide(gate_up).chunk(2, 1);
  const at::Tensor &g = halves[0], &u = halves[1], d = wide(dy), s = at::silu(g);
  const at::Tensor y = s * u;
  gate_up.copy_(at::cat({at::silu_backward(d * u, g), d * s}, 1));
  dy.copy_(y);
}

// (depth, columns), wide.
at::Tensor scaled(const LowRankFactor& factor) { return (factor.transposed ? factor.m.t() : factor.m) * factor.scale; }

void project_rows(const at::Tensor& x, std::span<const LowRankFactor> matrices, const at::Tensor& y) {
  const at::Tensor from = wide(x);
  int64_t column = 0;
  for (const LowRankFactor& factor : matrices) {
    const at::Tensor m = scaled(factor);
    const int64_t rank = m.size(1), padded = padded_rank(rank);
    y.narrow(1, column, rank).copy_(at::mm(from, m));
    y.narrow(1, column + rank, padded - rank).zero_();
    column += padded;
  }
}

// low · the matrices one above the other: (N, columns), wide.
at::Tensor unfolded(const at::Tensor& low, std::span<const LowRankFactor> matrices) {
  at::Tensor sum;
  int64_t column = 0;
  for (const LowRankFactor& factor : matrices) {
    const at::Tensor m = scaled(factor), product = at::mm(low.narrow(1, column, m.size(0)), m);
    sum = sum.defined() ? sum + product : product;
    column += padded_rank(m.size(0));
  }
  return sum;
}

void add_rows(const at::Tensor& x, std::span<const LowRankFactor> matrices, const at::Tensor& y) {
  y.copy_(wide(y) + unfolded(x, matrices));
}

at::Tensor thin_gradient(const at::Tensor& p, const at::Tensor& x, double scale) {
  return at::mm(p.t(), wide(x)) * scale;
}

// bfloat16 would need a wide copy of the weight: ATen's product in bfloat16 is better.
bool takes_product(at::ScalarType dtype, int64_t, at::IntArrayRef) { return dtype == wide_dtype(dtype); }

void weight_products(std::span<const WeightProduct> products) {
  for (const WeightProduct& product : products) {
    at::Tensor sum = product.added.defined() ? wide(product.added) : at::zeros_like(wide(product.y));
    for (const auto& [a, m, transposed] : product.terms) {
      sum = at::addmm(sum, wide(a), wide(transposed ? m.t() : m));
    }
    if (!product.folded.matrices.empty()) sum = sum + unfolded(product.folded.low, product.folded.matrices);
    product.y.copy_(sum);
  }
}

at::Tensor dropout(const at::Tensor& x, double p, uint64_t key) {
  if (p == 0) return x;
  const at::Tensor from = x.contiguous();
  // 32-bit values in int64.
  const int64_t mask = 0xffffffff;
  const auto scramble = [&](at::Tensor h) {
    h = (h ^ at::bitwise_right_shift(h, 16)) * 0x85ebca6b & mask;
    h = (h ^ at::bitwise_right_shift(h, 13)) * 0xc2b2ae35 & mask;
    return h ^ at::bitwise_right_shift(h, 16);
  };
  at::Tensor h = at::arange(from.numel(), from.options().dtype(at::kLong)) & mask;
  h = scramble(h ^ static_cast<int64_t>(key & 0xffffffff));
  h = scramble(h ^ static_cast<int64_t>(key >> 32));
  const auto threshold = static_cast<int64_t>(dropout_threshold(static_cast<float>(p)));
  return (from.flatten() * (at::bitwise_right_shift(h, 1) >= threshold).to(from.scalar_type()) / (1 - p))
      .view(x.sizes());
}

AttentionResult packed_attention(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                 const AttentionScores& scores) {
  return (flash_attends(qkv, sequences, layout, scores) ? flash_attention : plain_attention)(qkv, sequences, layout,
                                                                                             scores);
}

at::Tensor packed_attention_backward(const at::Tensor& qkv, const Sequences& sequences, const HeadLayout& layout,
                                     const AttentionScores& scores, const AttentionResult& result,
                                     const at::Tensor& dout) {
  const bool flash = flash_attends(qkv, sequences, layout, scores);
  return (flash ? flash_attention_backward : plain_attention_backward)(qkv, sequences, layout, scores, result, dout);
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, bool gradient) {
  const at::Tensor column = targets.unsqueeze(1);
  at::Tensor log_p = at::log_softmax(logits, /*dim=*/-1, wide_dtype(logits.scalar_type()));
  at::Tensor losses = -log_p.gather(1, column).squeeze(1);
  if (!gradient) return losses;
  // d loss / d logits = softmax − one-hot(target)
  log_p.exp_().scatter_add_(1, column, at::full({logits.size(0), 1}, -1.0f, log_p.options()));
  logits.copy_(log_p);
  return losses;
}

}  // namespace

at::Tensor geglu(const at::Tensor& gate_up) {
  const auto halves = gate_up.chunk(2, 1);
  return at::gelu(halves[0], "tanh").mul_(halves[1]);
}

void geglu_backward(const at::Tensor& gate_up, const at::Tensor& dy) {
  const auto halves = gate_up.chunk(2, 1);
  const at::Tensor bent = at::gelu(halves[0], "tanh"), act = bent * halves[1];
  halves[0].copy_(at::gelu_backward(dy * halves[1], halves[0], "tanh"));
  halves[1].copy_(bent.mul_(dy));
  dy.copy_(act);
}

constinit const Operations kOperations = {
    .norm_columns = norm_columns,
    .norm_columns_backward = norm_columns_backward,
    .rotate = rotate,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .geglu = geglu,
    .geglu_backward = geglu_backward,
    .packed_attention = packed_attention,
    .packed_attention_backward = packed_attention_backward,
    .project_rows = project_rows,
    .add_rows = add_rows,
    .thin_gradient = thin_gradient,
    .takes_product = takes_product,
    .weight_products = weight_products,
    .dropout = dropout,
    .cross_entropy = cross_entropy,
};

}  // namespace lora::aten
