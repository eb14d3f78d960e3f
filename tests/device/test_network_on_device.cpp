// Models on a device that is not the CPU: losses, gradients, weights in few bits and answers beside the CPU's.

#include <ATen/ATen.h>

#include "lora/adapters/inject.h"
#include "lora/inference/generation.h"
#include "lora/quantization/int8.h"
#include "lora/quantization/nf4.h"
#include "lora/quantization/quantizer.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/compare.h"
#include "tests/device/tested_device.h"
#include "tests/golden.h"
#include "tests/golden_families.h"

using namespace lora;
using namespace lora::test;

namespace {

struct Setup {
  std::string method = "lora", quantization = "none", dtype = "float32", init = "kaiming";
  double dropout = 0;
  Recompute recompute = Recompute::kNone;
  bool fused = true;
};

TokenBatch batch_on(at::Device where, int64_t vocabulary) {
  const at::Tensor ids = (at::arange(32, at::kLong) * 7919 + 13).remainder(vocabulary);
  return {ids.to(where), {9, 1, 22}};
}

// The loss, and the gradients by the trained parameters' names, on the CPU.
std::vector<std::pair<std::string, at::Tensor>> results(const std::filesystem::path& directory, const Setup& setup,
                                                        at::Device where) {
  const Quantizer quantizer = make_quantizer({setup.quantization});
  const auto model = load_pretrained(directory, setup.dtype, {}, quantizer, where);
  AdapterConfig config;
  config.method = setup.method;
  config.init = setup.init;
  config.rank = 4;
  config.adalora.target_r = 2;
  config.dropout = setup.dropout;
  config.target_modules = AllLinear{};
  const AdaptedModel adapted = inject(model, config, /*seed=*/5);
  at::manual_seed(6);
  {
    const at::NoGradGuard no_grad;
    for (const TrainedParameter& one : trainable_parameters(*model)) {
      at::Tensor value = one.tensor;
      if (one.role == ParameterRole::kB) value.copy_(at::randn(value.sizes()) * 0.1);
      if (one.path.ends_with("lora_E")) value.copy_(at::randn(value.sizes()));
    }
  }
  model->train();
  const TokenBatch batch = batch_on(where, model->config().vocab_size);
  at::Tensor targets = batch.input_ids.cpu().roll(-1);
  targets.narrow(0, 0, 4).fill_(kIgnoredTarget);
  at::manual_seed(7);  // of dropout
  const at::Tensor loss = model->loss_sum(batch, targets, {.fused = setup.fused, .recompute = setup.recompute});
  CHECK(loss.device() == where);
  loss.backward();
  std::vector<std::pair<std::string, at::Tensor>> all = {{"loss", loss.detach().cpu()}};
  for (const TrainedParameter& one : trainable_parameters(*model)) {
    CHECK(one.tensor.device() == where);
    if (one.tensor.grad().defined()) all.emplace_back(one.path, one.tensor.grad().cpu());
  }
  return all;
}

void check_same(const std::filesystem::path& directory, const Setup& setup, double bound) {
  INFO(directory.filename().string() << " " << setup.method << " " << setup.quantization << " " << setup.dtype
                                     << " dropout " << setup.dropout << " recompute "
                                     << static_cast<int>(setup.recompute) << (setup.fused ? "" : " plain"));
  const auto found = results(directory, setup, device), expected = results(directory, setup, at::kCPU);
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    INFO(found[i].first);
    CHECK(found[i].first == expected[i].first);
    if (expected[i].second.norm().item<double>() == 0) continue;
    CHECK(relative(found[i].second, expected[i].second) < bound);
  }
}

}  // namespace

TEST_CASE("every method has the CPU's loss and gradients on a device", "[any_device]") {
  for (const char* method : {"lora", "dora", "lora_fa", "adalora", "full"}) {
    check_same(golden_model("default"), {.method = method}, 2e-5);
  }
  check_same(golden_model("default"), {.init = "pissa"}, 1e-4);
  check_same(golden_model("default"), {.dtype = "bfloat16"}, 5e-2);
}

TEST_CASE("dropout, recomputation and the plain path have the CPU's loss and gradients on a device", "[any_device]") {
  for (const Recompute level : {Recompute::kNone, Recompute::kGateUp, Recompute::kLayer}) {
    check_same(golden_model("default"), {.dropout = 0.3, .recompute = level}, 2e-5);
  }
  check_same(golden_model("default"), {.dropout = 0.3, .fused = false}, 2e-5);
}

TEST_CASE("quantized bases have the CPU's loss and gradients on a device", "[any_device]") {
  for (const char* quantization : {"int8", "nf4"}) {
    for (const bool fused : {true, false}) {
      check_same(golden_model("default"), {.quantization = quantization, .fused = fused}, 2e-5);
    }
  }
}

TEST_CASE("every family has the CPU's loss and gradients on a device", "[any_device]") {
  for (const std::string& name : golden_families()) check_same(golden_family(name), {}, 1e-4);
}

TEST_CASE("weights in few bits have the same codes and values on a device", "[any_device]") {
  at::manual_seed(8);
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{96, 128}, {33, 61}, {1, 1}, {2, 127}, {700, 64}}) {
    const at::Tensor weight = at::randn({out, in});
    std::vector<std::pair<std::shared_ptr<QuantizedWeight>, std::shared_ptr<QuantizedWeight>>> pairs = {
        {std::make_shared<Int8Weight>(weight, at::kFloat), std::make_shared<Int8Weight>(weight, at::kFloat, device)}};
    for (const bool nested : {false, true}) {
      pairs.emplace_back(std::make_shared<Nf4Weight>(weight, at::kFloat, nested),
                         std::make_shared<Nf4Weight>(weight, at::kFloat, nested, device));
    }
    for (const auto& [here, there] : pairs) {
      INFO(here->encoding() << " " << out << " x " << in);
      CHECK(there->device() == device);
      for (size_t i = 0; i < here->tensors().size(); ++i) {
        CHECK(there->tensors()[i].second.cpu().equal(here->tensors()[i].second));
      }
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        at::Tensor expected = at::empty({out, in}, dtype),
                   found = at::empty({out, in}, at::TensorOptions(dtype).device(device));
        here->unpack(expected);
        there->unpack(found);
        CHECK(found.cpu().equal(expected));
      }
    }
  }
}

TEST_CASE("a model on a device writes the CPU's answers", "[any_device]") {
  const std::vector<std::vector<int64_t>> prompts = {{1, 5, 9, 2}, {3}, {7, 7, 7, 1, 2, 3}};
  GenerationConfig config;
  config.max_new_tokens = 12;
  config.sampling.temperature = 0;
  const auto answers = [&](at::Device where) {
    const auto model = load_pretrained(golden_model("default"), "float32", {}, {}, where);
    model->eval();
    return generate(*model, prompts, config);
  };
  CHECK(answers(device) == answers(at::kCPU));
}

TEST_CASE("all weights of a model are on its device, and the host's copies are gone") {
  const int64_t before = simulated_memory().held;
  const auto model = load_pretrained(golden_model("default"), "float32", {}, {}, simulated_device());
  int64_t bytes = 0;
  for (const at::Tensor& p : model->parameters()) {
    CHECK(p.device() == simulated_device());
    bytes += static_cast<int64_t>(p.nbytes());
  }
  CHECK(simulated_memory().held - before == bytes);
}
