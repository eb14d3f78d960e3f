// A LoRA adapter on every projection of every model family: loss and gradients are PEFT's, fused or not.

#include <ATen/ATen.h>
#include <torch/types.h>

#include "lora/adapters/inject.h"
#include "models/network/pretrained.h"
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
  inject(model, config, 1);
  const at::NoGradGuard no_grad;
  size_t taken = 0;
  for (const auto& [path, parameter, role] : trainable_parameters(*model)) {
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
        const at::Tensor targets = golden.targets();
        const at::Tensor loss =
            model->loss_sum(golden.batch(), targets, {.fused = fused}) / (targets != kIgnoredTarget).sum();
        loss.backward();
        CHECK(loss.item<double>() == Approx(golden["loss"].item<double>()).epsilon(1e-6));
        for (const auto& [path, parameter, role] : trainable_parameters(*model)) {
          INFO(path);
          const at::Tensor wanted = golden["gradient." + path + ".weight"];
          CHECK((parameter.grad() - wanted).norm().item<double>() <= 2e-5 * wanted.norm().item<double>());
        }
      }
    }
  }
}

TEST_CASE("in every family fused layers give the plain path's gradients, whatever is trained and computed again") {
  const std::string method = GENERATE("full", "dora");
  for (const std::string& name : golden_families()) {
    DYNAMIC_SECTION(name << ", " << method) {
      const GoldenFamily golden(name);
      const auto model = load_pretrained(golden_family(name), "float32");
      AdapterConfig config;
      config.method = method;
      config.target_modules = AllLinear{};
      config.rank = 2;
      inject(model, config, 1);
      {
        const at::NoGradGuard no_grad;
        at::manual_seed(5);
        for (const auto& [path, p, role] : trainable_parameters(*model)) {
          if (path.ends_with("lora_B")) at::Tensor(p).normal_(0, 0.2);
        }
      }
      model->train();
      const auto gradients = [&](bool fused, Recompute level) {
        for (const auto& [path, p, role] : trainable_parameters(*model)) at::Tensor(p).mutable_grad() = at::Tensor();
        // Samples within the windows of 7 tokens, and all families have the same ids.
        model
            ->loss_sum({golden.batch().input_ids, {7, 1, 6, 7, 7, 5, 2, 6, 7}}, golden.targets(),
                       {.fused = fused, .recompute = level})
            .backward();
        std::vector<std::pair<std::string, at::Tensor>> all;
        for (const auto& [path, p, role] : trainable_parameters(*model)) all.emplace_back(path, p.grad().clone());
        return all;
      };
      const auto plain = gradients(false, Recompute::kNone);
      for (const Recompute level : {Recompute::kNone, Recompute::kGateUp, Recompute::kLayer}) {
        const auto found = gradients(true, level);
        for (size_t i = 0; i < plain.size(); ++i) {
          INFO(plain[i].first);
          const double size = plain[i].second.norm().item<double>();
          CHECK((found[i].second - plain[i].second).norm().item<double>() <= 5e-5 * size + 1e-6);
        }
      }
    }
  }
}

TEST_CASE("the layers of every family are fused") {
  for (const std::string& name : golden_families()) {
    INFO(name);
    const auto model = load_pretrained(golden_family(name), "float32");
    for (const auto& layer : model->model->layers)
      CHECK(std::holds_alternative<FusedLayerParts>(layer->fused_form(at::kFloat)));
  }
}
