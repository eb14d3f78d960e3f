#pragma once
// What tests of training on a device share: a small model there that learns.

#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/registry.h"
#include "models/network/pretrained.h"
#include "tests/device/tested_device.h"
#include "tests/training/small_run.h"

namespace lora::test {

struct DeviceRun {
  explicit DeviceRun(const TrainingConfig& config, at::Device where, const std::string& dtype = "float32",
                     const std::string& method = "lora")
      : train(make_dataset(23)), validation(make_dataset(9)) {
    model = load_pretrained(golden_model("default"), dtype, {}, {}, where);
    AdapterConfig adapter;
    adapter.method = method;
    adapter.adalora = {.target_r = 4, .tinit = 1, .tfinal = 2, .delta_t = 1};
    adapter.target_modules = AllLinear{};
    adapter.dropout = method == "dora" ? 0 : 0.1;
    adapted = inject(model, adapter, config.seed);
    trainer = std::make_unique<Trainer>(*model, config, RowCursor(train, config, /*shuffle=*/true), &validation);
    trainer->set_hooks(training_hooks(adapted, trainer->total_steps()));
  }

  std::vector<at::Tensor> weights() const {
    std::vector<at::Tensor> copies;
    for (const auto& one : trainable_parameters(*model)) copies.push_back(one.tensor.detach().cpu());
    return copies;
  }

  Dataset train, validation;
  std::shared_ptr<LlamaForCausalLM> model;
  AdaptedModel adapted;
  std::unique_ptr<Trainer> trainer;
};

}  // namespace lora::test
