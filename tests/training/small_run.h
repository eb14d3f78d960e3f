#pragma once
// What tests of the training step share: a small model with an adapter, and rows that can be learnt.

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "lora/adapters/inject.h"
#include "lora/training/trainer.h"
#include "models/network/pretrained.h"
#include "tests/golden.h"

namespace lora::test {

// Rows that can be learnt: each token follows from the one before; half of each sample is masked.
inline Dataset make_dataset(int64_t samples) {
  Dataset dataset;
  for (int64_t i = 0; i < samples; ++i) {
    Sample sample;
    const int64_t length = 4 + i * 7 % 13;
    for (int64_t t = 0; t < length; ++t) {
      sample.ids.push_back(static_cast<int32_t>((i * 5 + t * 3) % 48));
      sample.supervised.push_back(t >= length / 2);
    }
    dataset.add(sample);
  }
  return dataset;
}

inline TrainingConfig base_config() {
  TrainingConfig config;
  config.max_steps = 6;
  config.batch_size = 5;
  config.max_length = 32;
  config.packing = false;
  config.learning_rate = 1e-2;
  config.lr_schedule = "constant";
  return config;
}

struct Fixture {
  explicit Fixture(const TrainingConfig& config, double dropout = 0, bool mixed = false,
                   std::shared_ptr<Replicas> replicas = std::make_shared<Replicas>())
      : train(make_dataset(23)), validation(make_dataset(9)) {
    model = load_pretrained(golden_model("default"), "auto");
    AdapterConfig adapter;
    adapter.target_modules = AllLinear{};
    adapter.dropout = dropout;
    adapted = inject(model, adapter, config.seed);
    RowCursor rows(train, config, /*shuffle=*/true, mixed ? mixture(train) : Mixture());
    trainer = std::make_unique<Trainer>(*model, config, std::move(rows), &validation, std::move(replicas));
  }
  // Of a source of 5 samples and one of 18, as many tokens of each.
  static Mixture mixture(const Dataset& dataset) {
    return Mixture({.strategy = MixingStrategy::kWeights, .by = MixingUnit::kTokens}, {{"a", 0, 5}, {"b", 5, 23}},
                   dataset.lengths(), true, 42);
  }
  std::vector<at::Tensor> weights() const {
    std::vector<at::Tensor> copies;
    for (const auto& [path, tensor, role] : trainable_parameters(*model)) copies.push_back(tensor.detach().clone());
    return copies;
  }
  Dataset train, validation;
  std::shared_ptr<LlamaForCausalLM> model;
  AdaptedModel adapted;
  std::unique_ptr<Trainer> trainer;
};

inline double distance(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, (a[i] - b[i]).abs().max().item<double>());
  return worst;
}

}  // namespace lora::test
