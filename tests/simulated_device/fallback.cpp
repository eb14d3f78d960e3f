// Every operation that the device has no kernel of its own for: LibTorch's CPU kernel, on views of the device's memory.

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <set>
#include <string>
#include <vector>

#include "tests/simulated_device/arena.h"
#include "tests/simulated_device/host_view.h"

namespace lora::test {
namespace {

bool is_ours(const at::Tensor& t) { return t.device().type() == at::DeviceType::PrivateUse1; }

// The tensors of one call, each with the view that the kernel gets.
class Lent {
 public:
  explicit Lent(const c10::OperatorHandle& op) : op_(op) {}

  at::Tensor lend(const at::Tensor& t, bool is_written) {
    if (!t.defined()) return t;
    if (!is_ours(t)) {
      TORCH_CHECK(t.dim() == 0 && t.device().is_cpu(), op_.schema().name(), ": a tensor of ", t.sizes(), " on ",
                  t.device(), " among tensors on the simulated device");
      return t;
    }
    for (const Pair& pair : pairs_) {
      if (pair.device.is_same(t)) return pair.host;
    }
    // An output that has no memory yet: the kernel gives it its size.
    const bool is_grown = is_written && t.numel() == 0;
    const at::Tensor host = is_grown ? at::empty({0}, t.options().device(at::kCPU)) : host_view(t);
    pairs_.push_back({t, host, is_grown});
    return host;
  }

  // What the kernel returned, on the device.
  at::Tensor take_back(const at::Tensor& t) const {
    if (!t.defined()) return t;
    for (const Pair& pair : pairs_) {
      if (pair.host.is_same(t)) return pair.device;
    }
    TORCH_CHECK(!Arena::get().is_inside(t.storage().data()), op_.schema().name(),
                ": returns a view, which the simulated device has to make itself");
    return t.to(simulated_device());
  }

  // Outputs that the kernel gave their size.
  void fill_grown() const {
    for (const Pair& pair : pairs_) {
      if (!pair.is_grown || pair.host.numel() == 0) continue;
      resize_on_device(pair.device, pair.host.sizes());
      pair.device.copy_(pair.host);
    }
  }

 private:
  struct Pair {
    at::Tensor device, host;
    bool is_grown;
  };
  const c10::OperatorHandle& op_;
  std::vector<Pair> pairs_;
};

c10::IValue lend_value(Lent& lent, const c10::IValue& value, bool is_written) {
  if (value.isTensor()) return lent.lend(value.toTensor(), is_written);
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& t : value.toTensorVector()) list.push_back(lent.lend(t, is_written));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& t : value.toOptionalTensorVector()) {
      list.push_back(t ? std::optional(lent.lend(*t, is_written)) : std::nullopt);
    }
    return list;
  }
  if (value.isDevice()) return at::Device(at::kCPU);
  return value;
}

c10::IValue take_back(const Lent& lent, const c10::IValue& value) {
  if (value.isTensor()) return lent.take_back(value.toTensor());
  if (!value.isTensorList()) return value;
  c10::List<at::Tensor> list;
  for (const at::Tensor& t : value.toTensorVector()) list.push_back(lent.take_back(t));
  return list;
}

// Whether the host has to know a value before it can continue.
bool waits(const c10::OperatorHandle& op) {
  static const std::set<std::string> all = {"aten::_local_scalar_dense", "aten::equal",      "aten::nonzero",
                                            "aten::masked_select",       "aten::unique_dim", "aten::_unique2"};
  return all.contains(op.schema().name());
}

void compute_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const at::AutoDispatchBelowAutograd no_autograd;
  Lent lent(op);
  const auto& arguments = op.schema().arguments();
  const size_t begin = stack->size() - arguments.size();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool is_written = arguments[i].alias_info() && arguments[i].alias_info()->isWrite();
    (*stack)[begin + i] = lend_value(lent, (*stack)[begin + i], is_written);
  }
  if (waits(op)) count_simulated_read();
  op.callBoxed(*stack);
  lent.fill_grown();
  const size_t results = op.schema().returns().size();
  for (size_t i = stack->size() - results; i < stack->size(); ++i) (*stack)[i] = take_back(lent, (*stack)[i]);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&compute_on_host>()); }

}  // namespace
}  // namespace lora::test
