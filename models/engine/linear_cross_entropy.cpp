#include "models/engine/linear_cross_entropy.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "models/base/numbers.h"
#include "models/engine/dense_product.h"
#include "models/engine/operations.h"
#include "models/engine/profile.h"
#include "models/engine/row_counts.h"

namespace lora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The losses of the rows of products; each row of products becomes the gradient of its loss.
at::Tensor chunk_losses(const Operations& operations, at::Tensor& products, const at::Tensor& targets, bool gradient,
                        const LogitScale& scale) {
  if (scale.divisor != 1) products.div_(scale.divisor);
  if (scale.softcap == 0) {
    const at::Tensor losses = operations.cross_entropy(products, targets, gradient);
    if (scale.divisor != 1 && gradient) products.div_(scale.divisor);
    return losses;
  }
  const at::Tensor bent = products.div_(scale.softcap).tanh();
  products.copy_(bent).mul_(scale.softcap);
  const at::Tensor losses = operations.cross_entropy(products, targets, gradient);
  if (gradient) products.mul_(bent.pow(2).neg_().add_(1)).div_(scale.divisor);  // d tanh
  return losses;
}

struct HeadLosses {
  at::Tensor losses;  // (M), wide
  at::Tensor dx;      // (M, H): each row the gradient of its loss; undefined where it is not asked for
  at::Tensor dw;      // (V, H) float32: the gradient of the losses' sum; undefined likewise
};

// `factors` (M), where defined: of each loss in dw's sum.
HeadLosses head_losses(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets, bool needs_dx,
                       bool needs_dw, const at::Tensor& factors, const LogitScale& scale,
                       const Operations& operations) {
  const at::Tensor w = weight.to(x.scalar_type());
  const int64_t tokens = x.size(0), rows = rounded_rows(tokens);
  const bool gradient = needs_dx || needs_dw;
  const WorkScope scope(Work::kLoss, 2.0 * (1 + needs_dx + needs_dw) * static_cast<double>(x.numel()) *
                                         static_cast<double>(weight.size(0)));
  // Rows of zeros at the end: their logits are not read, and their gradients are zero.
  at::Tensor padded = at::zeros({rows, x.size(1)}, x.options());
  padded.narrow(0, 0, tokens).copy_(x);
  HeadLosses result;
  if (needs_dw) result.dw = at::zeros(weight.sizes(), weight.options().dtype(at::kFloat));
  const int64_t chunk = linear_cross_entropy_chunk(rows, weight.size(0));
  at::Tensor buffer = at::empty({chunk, weight.size(0)}, x.options());
  std::vector<at::Tensor> losses;
  const bool own = w.is_contiguous() && operations.takes_product(x.scalar_type(), rows, w.sizes());
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t n = std::min(chunk, rows - begin), real = std::max<int64_t>(0, std::min(n, tokens - begin));
    at::Tensor xs = padded.narrow(0, begin, n);
    at::Tensor logits = buffer.narrow(0, 0, n);
    if (own) {
      const WeightProduct product{.terms = {{xs, w, /*transposed=*/true}}, .y = logits};
      operations.weight_products({&product, 1});
    } else {
      at::mm_out(logits, xs, w.t());
    }
    at::Tensor counted = logits.narrow(0, 0, real);
    losses.push_back(chunk_losses(operations, counted, targets.narrow(0, begin, real), gradient, scale));
    if (factors.defined()) counted.mul_(factors.narrow(0, begin, real).unsqueeze(1));
    logits.narrow(0, real, n - real).zero_();
    if (needs_dw) result.dw.add_(dense_product(logits.t(), xs));
    if (!needs_dx) continue;
    // These rows of x are not read again: their gradient takes their place.
    if (own) {
      const WeightProduct product{.terms = {{logits, w, /*transposed=*/false}}, .y = xs};
      operations.weight_products({&product, 1});
    } else {
      at::mm_out(xs, logits, w);
    }
  }
  result.losses = losses.empty() ? at::zeros({0}, x.options().dtype(at::kFloat)) : at::cat(losses);
  if (needs_dx) result.dx = padded.narrow(0, 0, tokens);
  return result;
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& targets, bool x_needs_grad, bool weight_needs_grad, double divisor,
                            double softcap, const Operations* operations) {
    const HeadLosses found = head_losses(x, weight, targets, x_needs_grad, weight_needs_grad, /*factors=*/{},
                                         {divisor, softcap}, *operations);
    ctx->save_for_backward({found.dx, found.dw});
    ctx->saved_data["weight_dtype"] = static_cast<int64_t>(weight.scalar_type());
    return found.losses.sum(at::kDouble).to(at::kFloat);
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

struct LinearLogProbabilities : torch::autograd::Function<LinearLogProbabilities> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& targets, bool x_needs_grad, bool weight_needs_grad, double divisor,
                            double softcap, const Operations* operations) {
    const HeadLosses found = head_losses(x, weight, targets, x_needs_grad, /*needs_dw=*/false, /*factors=*/{},
                                         {divisor, softcap}, *operations);
    // What each loss is multiplied by is known in the backward pass alone, and a weight's gradient sums over them.
    const bool again = weight_needs_grad;
    ctx->save_for_backward({found.dx, again ? x : at::Tensor(), again ? weight : at::Tensor(), targets});
    ctx->saved_data["divisor"] = divisor;
    ctx->saved_data["softcap"] = softcap;
    ctx->saved_data["operations"] = reinterpret_cast<int64_t>(operations);
    return found.losses.neg().to(at::kFloat);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor factors = grads[0].neg();
    at::Tensor dx, dw;
    if (saved[0].defined()) dx = saved[0] * factors.to(saved[0].scalar_type()).unsqueeze(1);
    if (saved[1].defined()) {
      const auto* operations = reinterpret_cast<const Operations*>(ctx->saved_data["operations"].toInt());
      const LogitScale scale{ctx->saved_data["divisor"].toDouble(), ctx->saved_data["softcap"].toDouble()};
      dw = head_losses(saved[1], saved[2], saved[3], /*needs_dx=*/false, /*needs_dw=*/true, factors, scale, *operations)
               .dw.to(saved[2].scalar_type());
    }
    return {dx, dw, {}, {}, {}, {}, {}, {}};
  }
};

template <class Loss>
at::Tensor apply(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets, const LogitScale& scale,
                 const Operations& operations) {
  const bool track = at::GradMode::is_enabled();
  return Loss::apply(x, weight, targets, track && x.requires_grad(), track && weight.requires_grad(), scale.divisor,
                     scale.softcap, &operations);
}

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
  return apply<LinearCrossEntropy>(x, weight, targets, scale, operations);
}

at::Tensor linear_log_probabilities(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                                    const LogitScale& scale) {
  return linear_log_probabilities(x, weight, targets, scale, some_operations_for(x));
}

at::Tensor linear_log_probabilities(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                                    const LogitScale& scale, const Operations& operations) {
  return apply<LinearLogProbabilities>(x, weight, targets, scale, operations);
}

}  // namespace lora
