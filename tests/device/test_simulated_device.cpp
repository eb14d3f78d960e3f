// The simulated device itself: what the other tests of this folder rely on.

#include <ATen/ATen.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "tests/catch.h"
#include "tests/simulated_device/simulated_device.h"

using namespace lora::test;

namespace {

const at::Device simulated_one = simulated_device();

// The signal that ends a process that does this; 0: none does.
int signal_of(const std::function<void()>& f) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT}) ::signal(signal, SIG_DFL);
    f();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("the host cannot read or write the memory of the simulated device") {
  const at::Tensor there = at::ones({4}).to(simulated_one), here = at::ones({4});
  CHECK(signal_of([&] { ::_exit(there.const_data_ptr<float>()[0] == 1 ? 0 : 1); }) == SIGSEGV);
  CHECK(signal_of([&] { there.mutable_data_ptr<float>()[0] = 2; }) == SIGSEGV);
  CHECK(signal_of([&] { here.mutable_data_ptr<float>()[0] = 2; }) == 0);
  CHECK(there.cpu().equal(at::ones({4})));
}

TEST_CASE("an operation on tensors of both sides fails, but for scalars") {
  const at::Tensor there = at::ones({4, 4}).to(simulated_one), here = at::ones({4, 4});
  const at::Tensor index = at::arange(2);
  CHECK_THROWS(there + here);
  CHECK_THROWS(at::mm(there, here));
  CHECK_THROWS(there.index_select(0, index));
  CHECK_THROWS(at::cat({there, here}));
  CHECK((there + at::scalar_tensor(1.0)).cpu().equal(here + 1));
}

TEST_CASE("operations on the simulated device have the bits of the CPU's") {
  at::manual_seed(3);
  const at::Tensor a = at::randn({7, 12}), b = at::randn({12, 5}), rows = at::tensor({3, 0, 3}, at::kLong);
  const auto both = [&](auto f) {
    const at::Tensor expected = f(a, b, rows, at::Device(at::kCPU));
    const at::Tensor found = f(a.to(simulated_one), b.to(simulated_one), rows.to(simulated_one), simulated_one);
    CHECK(found.device() == simulated_one);
    CHECK(found.sizes() == expected.sizes());
    CHECK(found.cpu().equal(expected));
  };
  both([](const auto& x, const auto& y, const auto&, at::Device) { return at::mm(x, y); });
  both([](const auto& x, const auto&, const auto& r, at::Device) { return x.index_select(0, r).t().contiguous(); });
  both([](const auto& x, const auto&, const auto&, at::Device) { return at::log_softmax(x.narrow(1, 2, 7), 1); });
  both([](const auto& x, const auto&, const auto&, at::Device d) {
    return at::cat({x, at::full({1, 12}, 2.5, at::TensorOptions(d))}).view({4, -1});
  });
  both(
      [](const auto&, const auto&, const auto&, at::Device d) { return at::arange(9, at::TensorOptions(d)).square(); });
  both([](const auto& x, const auto& y, const auto&, at::Device) {
    at::Tensor wide = at::zeros({7, 9}, x.options()), slice = wide.narrow(1, 3, 5);
    at::mm_out(slice, x, y);
    slice.mul_(2);
    return wide;
  });
  both([](const auto& x, const auto&, const auto&, at::Device) { return (x > 0).nonzero(); });
  both([](const auto& x, const auto&, const auto&, at::Device) {
    return x.masked_fill(at::ones({7, 12}, x.options().dtype(at::kBool)).tril_(), 0.0).to(at::kBFloat16);
  });
}

// Some of LibTorch's gradients are one operation on the CPU, and several elsewhere.
TEST_CASE("gradients on the simulated device are the CPU's, but for their last bits") {
  at::manual_seed(4);
  const at::Tensor x = at::randn({6, 8}), w = at::randn({8, 8});
  const auto gradients = [&](at::Device where) {
    const at::Tensor u = x.to(where).detach().requires_grad_(true), v = w.to(where).detach().requires_grad_(true);
    (at::silu(at::mm(u, v)).softmax(1) * u).sum().backward();
    return std::pair(u.grad().cpu(), v.grad().cpu());
  };
  const auto [du, dv] = gradients(simulated_one);
  const auto [expected_du, expected_dv] = gradients(at::kCPU);
  CHECK((du - expected_du).abs().max().item<double>() < 1e-6);
  CHECK((dv - expected_dv).abs().max().item<double>() < 1e-6);
}

TEST_CASE("memory of the simulated device is counted, bounded and given back") {
  const int64_t before = simulated_memory().held;
  {
    const at::Tensor t = at::empty({1000}, at::TensorOptions(simulated_one));
    CHECK(simulated_memory().held == before + 4000);
  }
  CHECK(simulated_memory().held == before);
  CHECK(simulated_memory().peak >= before + 4000);
  CHECK_THROWS_WITH(at::empty({int64_t{1} << 40}, at::TensorOptions(simulated_one)),
                    Catch::Matchers::Contains("out of memory"));
}
