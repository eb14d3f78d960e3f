#include "models/ops/linear_cross_entropy.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <algorithm>

namespace lora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Bounds a chunk's float32 logits to 32 MiB.
int64_t chunk_rows(int64_t vocab) { return std::max<int64_t>(1, (8 << 20) / vocab); }

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& targets, bool x_needs_grad, bool weight_needs_grad) {
    const at::Tensor w = weight.to(x.scalar_type());
    const int64_t rows = x.size(0);
    at::Tensor loss = at::zeros({}, x.options().dtype(at::kFloat));
    at::Tensor dx = x_needs_grad ? at::empty_like(x) : at::Tensor();
    at::Tensor dw = weight_needs_grad ? at::zeros(weight.sizes(), weight.options().dtype(at::kFloat)) : at::Tensor();
    const int64_t chunk = chunk_rows(weight.size(0));
    for (int64_t begin = 0; begin < rows; begin += chunk) {
      const int64_t n = std::min(chunk, rows - begin);
      const at::Tensor xs = x.narrow(0, begin, n);
      const at::Tensor ts = targets.narrow(0, begin, n).unsqueeze(1);
      const at::Tensor log_p = at::log_softmax(at::linear(xs, w), /*dim=*/-1, at::kFloat);
      loss.sub_(log_p.gather(1, ts).sum());
      if (!x_needs_grad && !weight_needs_grad) continue;
      // d loss / d logits = softmax − one-hot(target)
      at::Tensor dlogits = log_p.exp_();
      dlogits.scatter_add_(1, ts, at::full({n, 1}, -1.0f, dlogits.options()));
      dlogits = dlogits.to(x.scalar_type());
      if (x_needs_grad) {
        at::Tensor out = dx.narrow(0, begin, n);
        at::mm_out(out, dlogits, w);
      }
      if (weight_needs_grad) dw.add_(at::mm(dlogits.t(), xs));
    }
    ctx->save_for_backward({dx, dw});
    ctx->saved_data["weight_dtype"] = static_cast<int64_t>(weight.scalar_type());
    return loss;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const auto weight_dtype = static_cast<at::ScalarType>(ctx->saved_data["weight_dtype"].toInt());
    at::Tensor dx, dw;
    if (saved[0].defined()) dx = saved[0] * grads[0].to(saved[0].scalar_type());
    if (saved[1].defined()) dw = (saved[1] * grads[0]).to(weight_dtype);
    return {dx, dw, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets) {
  const bool track = at::GradMode::is_enabled();
  return LinearCrossEntropy::apply(x, weight, targets, track && x.requires_grad(), track && weight.requires_grad());
}

}  // namespace lora
