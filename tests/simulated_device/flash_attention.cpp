// The simulated device's flash attention: what LibTorch's CUDA kernels compute, by the definition of their arguments (those
// of torch.nn.attention.varlen): sequences back to back, grouped heads, and a window of keys beside the diagonal that ends
// at the last query and the last key.

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <atomic>
#include <limits>
#include <map>

#include "tests/simulated_device/host_view.h"
#include "tests/simulated_device/simulated_device.h"

namespace lora::test {
namespace {

std::atomic<bool> breaks = false;

// The arguments of a boxed call by their names; takes them off the stack.
std::map<std::string, c10::IValue> take_arguments(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  std::map<std::string, c10::IValue> all;
  const auto& arguments = op.schema().arguments();
  const size_t begin = stack->size() - arguments.size();
  for (size_t i = 0; i < arguments.size(); ++i) all[arguments[i].name()] = (*stack)[begin + i];
  stack->resize(begin);
  return all;
}

at::Tensor on_host(const c10::IValue& value) { return host_view(value.toTensor()); }

// One sequence: queries, keys and values (heads, T, dim) in float64, and the probabilities.
struct Sequence {
  at::Tensor q, k, v, p, log_sum;
  int64_t first_q, queries, first_k, keys, group;

  Sequence(std::map<std::string, c10::IValue>& in, int64_t index) {
    const at::Tensor bounds_q = on_host(in["cum_seq_q"]), bounds_k = on_host(in["cum_seq_k"]);
    TORCH_CHECK(bounds_q.scalar_type() == at::kInt && bounds_k.scalar_type() == at::kInt, "bounds are not int32");
    const auto range = [&](const at::Tensor& bounds, int64_t& first, int64_t& count) {
      first = bounds[index].item<int64_t>();
      count = bounds[index + 1].item<int64_t>() - first;
    };
    range(bounds_q, first_q, queries);
    range(bounds_k, first_k, keys);
    TORCH_CHECK(queries <= in["max_q"].toInt() && keys <= in["max_k"].toInt(), "a sequence is longer than the longest");
    const at::Tensor all_q = on_host(in["query"]), all_k = on_host(in["key"]), all_v = on_host(in["value"]);
    group = all_q.size(1) / all_k.size(1);
    const auto heads = [](const at::Tensor& t, int64_t first, int64_t count, int64_t times) {
      return t.narrow(0, first, count).transpose(0, 1).to(at::kDouble).repeat_interleave(times, 0);
    };
    q = heads(all_q, first_q, queries, 1);
    k = heads(all_k, first_k, keys, group);
    v = heads(all_v, first_k, keys, group);
    const int64_t left = in["window_size_left"].toInt();
    const int64_t right = in["is_causal"].toBool() ? 0 : in["window_size_right"].toInt();
    const at::Tensor row = at::arange(queries).unsqueeze(1) + (keys - queries), column = at::arange(keys);
    at::Tensor hidden = at::zeros({queries, keys}, at::kBool);
    if (right >= 0) hidden = hidden | (column > row + right);
    if (left >= 0) hidden = hidden | (column < row - left);
    const at::Tensor scores = (at::matmul(q, k.transpose(1, 2)) * in["scale"].toDouble())
                                  .masked_fill(hidden, -std::numeric_limits<double>::infinity());
    log_sum = scores.logsumexp(-1);
    p = (scores - log_sum.unsqueeze(-1)).exp();
  }
};

void forward(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const at::AutoDispatchBelowAutograd no_autograd;
  auto in = take_arguments(op, stack);
  const at::Tensor query = on_host(in["query"]);
  at::Tensor out = at::empty(query.sizes(), query.options()), log_sum = at::empty({query.size(1), query.size(0)});
  for (int64_t i = 0; i + 1 < in["cum_seq_q"].toTensor().numel(); ++i) {
    const Sequence s(in, i);
    out.narrow(0, s.first_q, s.queries).copy_(at::matmul(s.p, s.v).transpose(0, 1));
    log_sum.narrow(1, s.first_q, s.queries).copy_(s.log_sum);
  }
  if (breaks) out.mul_(1.1);
  const auto there = [](const at::Tensor& t) { return t.to(simulated_device()); };
  const at::Tensor none = there(at::empty({0}));
  for (const at::Tensor& t : {there(out), there(log_sum), none, none, none}) stack->emplace_back(t);
}

void backward(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const at::AutoDispatchBelowAutograd no_autograd;
  auto in = take_arguments(op, stack);
  const at::Tensor query = on_host(in["query"]), key = on_host(in["key"]), grad_out = on_host(in["grad_out"]);
  const at::Tensor log_sum = on_host(in["logsumexp"]), out = on_host(in["out"]);
  at::Tensor dq = at::empty(query.sizes(), query.options()), dk = at::empty(key.sizes(), key.options());
  at::Tensor dv = at::empty_like(dk);
  for (int64_t i = 0; i + 1 < in["cum_seq_q"].toTensor().numel(); ++i) {
    const Sequence s(in, i);
    const auto rows = [&](const at::Tensor& t) {
      return t.narrow(0, s.first_q, s.queries).transpose(0, 1).to(at::kDouble);
    };
    TORCH_CHECK(at::allclose(log_sum.narrow(1, s.first_q, s.queries).to(at::kDouble), s.log_sum, 1e-4, 1e-4),
                "logsumexp is not that of the forward pass");
    const at::Tensor d = rows(grad_out);
    const at::Tensor ds =
        s.p * (at::matmul(d, s.v.transpose(1, 2)) - (d * rows(out)).sum(-1, true)) * in["scale"].toDouble();
    const auto summed = [&](const at::Tensor& t) {
      return t.view({-1, s.group, s.keys, t.size(-1)}).sum(1).transpose(0, 1);
    };
    dq.narrow(0, s.first_q, s.queries).copy_(at::matmul(ds, s.k).transpose(0, 1));
    dk.narrow(0, s.first_k, s.keys).copy_(summed(at::matmul(ds.transpose(1, 2), s.q)));
    dv.narrow(0, s.first_k, s.keys).copy_(summed(at::matmul(s.p.transpose(1, 2), d)));
  }
  for (const at::Tensor& t : {dq, dk, dv}) stack->emplace_back(t.to(simulated_device()));
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("_flash_attention_forward", torch::CppFunction::makeFromBoxedFunction<&forward>());
  m.impl("_flash_attention_backward", torch::CppFunction::makeFromBoxedFunction<&backward>());
}

}  // namespace

void break_flash_attention(bool on) { breaks = on; }

}  // namespace lora::test
