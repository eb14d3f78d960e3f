// Names of devices, and what is said of one that is not there.

#include "models/engine/devices.h"

#include <ATen/ATen.h>

#include "models/base/error.h"
#include "models/engine/operations.h"
#include "tests/catch.h"

using namespace lora;
using Catch::Matchers::Contains;

TEST_CASE("a device's name is auto, cpu, cuda or cuda with a number") {
  for (const char* name : {"auto", "cpu", "cuda", "cuda:0", "cuda:15"}) CHECK(device_name_problem(name).empty());
  for (const char* name : {"", "gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cpu:0", "cuda1"}) {
    INFO(name);
    CHECK_THAT(device_name_problem(name), Contains("expected auto, cpu, cuda or cuda:N"));
  }
}

TEST_CASE("a device that is not there is an error that says why") {
  CHECK(named_device("cpu") == at::Device(at::kCPU));
  // The message of a CUDA build of LibTorch differs; both are one of exit code 2.
  for (const char* name : {"cuda:99", "privateuseone"}) {
    try {
      named_device(name);
      FAIL(name << " is there");
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::kRecipe);
      CHECK_THAT(error.what(), Contains("[device] " + std::string(name) + ": "));
    }
  }
}

TEST_CASE("the CPU has no memory of its own, and its tensors stay where they are") {
  CHECK_FALSE(device_memory(at::kCPU));
  CHECK_FALSE(peak_device_bytes(at::kCPU));
  const at::Tensor t = at::ones({3});
  CHECK(on_device(t, at::kCPU).is_same(t));
}

TEST_CASE("layers on another device are computed by ATen's table, on the CPU by kernels where there are some") {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    CHECK(operations_for(at::Device(at::kCUDA, 0), dtype) == &aten_operations());
  }
  CHECK(operations_for(at::kCPU, at::kFloat) != &aten_operations());
  CHECK(operations_for(at::kCPU, at::kFloat) != nullptr);
  CHECK(operations_for(at::kCPU, at::kHalf) == nullptr);
  CHECK(operations_for(at::kMeta, at::kFloat) == nullptr);
}
