// A LoRA adapter on every projection of every model family: loss and gradients are PEFT's, fused or not.

#include <ATen/ATen.h>
#include <torch/types.h>

#include "lora/adapters/inject.h"
#include "models/pretrained.h"
#include "tests/catch.h"
#include "tests/golden_families.h"

using namespace lora;
using namespace lora::test;

namespace {

// An adapter of rank 2 and alpha 3 with the golden weights.
std::shared_ptr<LlamaForCausalLM> adapted(const std::string& name, const GoldenFamily& golden) {
  auto model = load_pretrained(golden_family(name), "float32");
  AdapterConfig config;
  config.target_modules = AllLinear{};
  config.rank = 2;
  config.alpha = 3;
  inject(*model, config, 1);
  const at::NoGradGuard no_grad;
  size_t taken = 0;
  for (const auto& [path, parameter] : trainable_parameters(*model)) {
    at::Tensor(parameter).copy_(golden["adapter." + path + ".weight"]);
    ++taken;
  }
  size_t wanted = 0;
  for (const auto& [key, entry] : golden.file.entries()) wanted += key.starts_with("adapter.");
  CHECK(taken == wanted);  // the same modules under the same names
  return model;
}

}  // namespace

TEST_CASE("the loss and the gradients of an adapter in every family are PEFT's") {
  for (const std::string& name : golden_families()) {
    for (const bool fused : {false, true}) {
      DYNAMIC_SECTION(name << (fused ? ", fused where it can be" : ", plain")) {
        const GoldenFamily golden(name);
        const auto model = adapted(name, golden);
        model->train();
        model->model->fused = fused;
        const at::Tensor targets = golden.targets();
        const at::Tensor loss = model->loss_sum(golden.batch(), targets) / (targets != -100).sum();
        loss.backward();
        CHECK(loss.item<double>() == Approx(golden["loss"].item<double>()).epsilon(1e-6));
        for (const auto& [path, parameter] : trainable_parameters(*model)) {
          INFO(path);
          const at::Tensor wanted = golden["gradient." + path + ".weight"];
          CHECK((parameter.grad() - wanted).norm().item<double>() <= 2e-5 * wanted.norm().item<double>());
        }
      }
    }
  }
}
