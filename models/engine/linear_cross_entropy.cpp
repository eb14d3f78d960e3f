#include "models/engine/linear_cross_entropy.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <algorithm>

#include "models/base/numbers.h"
#include "models/engine/operations.h"
#include "models/engine/profile.h"
#include "models/engine/row_counts.h"

namespace lora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The sum of the losses of the rows of products; the products become their gradient.
at::Tensor chunk_loss(const Operations& operations, at::Tensor& products, const at::Tensor& targets, bool gradient,
                      double divisor, double softcap) {
  if (divisor != 1) products.div_(divisor);
  if (softcap == 0) {
    const at::Tensor loss = operations.cross_entropy(products, targets, gradient);
    if (divisor != 1 && gradient) products.div_(divisor);
    return loss;
  }
  const at::Tensor bent = products.div_(softcap).tanh();
  products.copy_(bent).mul_(softcap);
  const at::Tensor loss = operations.cross_entropy(products, targets, gradient);
  if (gradient) products.mul_(bent.pow(2).neg_().add_(1)).div_(divisor);  // d tanh
  return loss;
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& targets, bool x_needs_grad, bool weight_needs_grad, double divisor,
                            double softcap, const Operations* operations) {
    const at::Tensor w = weight.to(x.scalar_type());
    const int64_t tokens = x.size(0), rows = rounded_rows(tokens);
    const bool gradient = x_needs_grad || weight_needs_grad;
    const WorkScope scope(Work::kLoss, 2.0 * (1 + x_needs_grad + weight_needs_grad) * static_cast<double>(x.numel()) *
                                           static_cast<double>(weight.size(0)));
    // Rows of zeros at the end: their logits are not read, and their gradients are zero.
    at::Tensor padded = at::zeros({rows, x.size(1)}, x.options());
    padded.narrow(0, 0, tokens).copy_(x);
    at::Tensor dw = weight_needs_grad ? at::zeros(weight.sizes(), weight.options().dtype(at::kFloat)) : at::Tensor();
    const int64_t chunk = linear_cross_entropy_chunk(rows, weight.size(0));
    at::Tensor buffer = at::empty({chunk, weight.size(0)}, x.options());
    at::Tensor loss = at::zeros({}, x.options().dtype(at::kDouble));
    const bool own = w.is_contiguous() && operations->takes_product(x.scalar_type(), rows, w.sizes());
    for (int64_t begin = 0; begin < rows; begin += chunk) {
      const int64_t n = std::min(chunk, rows - begin), real = std::min(n, tokens - begin);
      at::Tensor xs = padded.narrow(0, begin, n);
      at::Tensor logits = buffer.narrow(0, 0, n);
      if (own) {
        const WeightProduct product{.terms = {{xs, w, /*transposed=*/true}}, .y = logits};
        operations->weight_products({&product, 1});
      } else {
        at::mm_out(logits, xs, w.t());
      }
      at::Tensor counted = logits.narrow(0, 0, real);
      loss.add_(chunk_loss(*operations, counted, targets.narrow(0, begin, real), gradient, divisor, softcap));
      logits.narrow(0, real, n - real).zero_();
      if (weight_needs_grad) dw.add_(at::mm(logits.t(), xs));
      if (!x_needs_grad) continue;
      // These rows of x are not read again: their gradient takes their place.
      if (own) {
        const WeightProduct product{.terms = {{logits, w, /*transposed=*/false}}, .y = xs};
        operations->weight_products({&product, 1});
      } else {
        at::mm_out(xs, logits, w);
      }
    }
    const at::Tensor dx = x_needs_grad ? padded.narrow(0, 0, tokens) : at::Tensor();
    ctx->save_for_backward({dx, dw});
    ctx->saved_data["weight_dtype"] = static_cast<int64_t>(weight.scalar_type());
    return loss.to(at::kFloat);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const auto weight_dtype = static_cast<at::ScalarType>(ctx->saved_data["weight_dtype"].toInt());
    at::Tensor dx, dw;
    if (saved[0].defined()) dx = saved[0] * grads[0].to(saved[0].scalar_type());
    if (saved[1].defined()) dw = (saved[1] * grads[0]).to(weight_dtype);
    return {dx, dw, {}, {}, {}, {}, {}, {}};
  }
};

}  // namespace

// At most 32 MiB of bfloat16 or twice that of float32. Chunks are of one size: a product with few rows is slow.
int64_t linear_cross_entropy_chunk(int64_t rows, int64_t vocabulary) {
  const int64_t most = std::max<int64_t>(1, (16 << 20) / vocabulary);
  const int64_t chunks = std::max<int64_t>(1, ceil_div(rows, most));
  return rounded_rows(ceil_div(rows, chunks));
}

at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                                const LogitScale& scale) {
  return linear_cross_entropy(x, weight, targets, scale, some_operations_for(x));
}

at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                                const LogitScale& scale, const Operations& operations) {
  const bool track = at::GradMode::is_enabled();
  return LinearCrossEntropy::apply(x, weight, targets, track && x.requires_grad(), track && weight.requires_grad(),
                                   scale.divisor, scale.softcap, &operations);
}

}  // namespace lora
