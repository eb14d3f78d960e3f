#pragma once
// A run on the rows of a golden file of PEFT's, with the steps that scripts/make_golden.py made there.

#include "lora/adapters/inject.h"
#include "lora/adapters/registry.h"
#include "lora/training/trainer.h"
#include "models/io/safetensors.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden.h"

namespace lora::test {

inline Dataset dataset_of(const nlohmann::json& rows) {
  Dataset dataset;
  for (const auto& row : rows) {
    Sample sample;
    sample.ids = row.get<std::vector<int32_t>>();
    sample.supervised.assign(sample.ids.size(), 1);
    sample.supervised[0] = 0;
    dataset.add(sample);
  }
  return dataset;
}

// All rows in every step, a constant rate, no clipping.
inline TrainingConfig golden_training(const nlohmann::json& expected, int64_t steps) {
  TrainingConfig config;
  config.max_steps = steps;
  config.batch_size = static_cast<int64_t>(expected["rows"].size());
  config.packing = false;
  config.learning_rate = expected["learning_rate"];
  config.lr_schedule = "constant";
  config.max_grad_norm = 0;
  return config;
}

struct GoldenRun {
  GoldenRun(const nlohmann::json& expected, const AdapterConfig& adapter, const TrainingConfig& config)
      : train(dataset_of(expected["rows"])), model(load_pretrained(golden_model("default"), "auto")) {
    adapted = inject(model, adapter, config.seed);
    trainer = std::make_unique<Trainer>(*model, config, RowCursor(train, config, /*shuffle=*/false), nullptr);
    trainer->set_hooks(training_hooks(adapted, trainer->total_steps()));
  }
  Dataset train;
  std::shared_ptr<LlamaForCausalLM> model;
  AdaptedModel adapted;
  std::unique_ptr<Trainer> trainer;
};

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return a.numel() == 0 ? 0.0 : (a - b).abs().max().item<double>();
}

}  // namespace lora::test
