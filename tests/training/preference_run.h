#pragma once
// What tests of the objectives on preferences share: a small model that learns from pairs, or from marked answers.

#include "lora/training/answer_batch.h"
#include "tests/training/small_run.h"

namespace lora::test {

// Pairs with a prompt of 3 to 7 tokens and answers of 2 to 6.
inline Dataset make_pairs(int64_t count) {
  Dataset dataset;
  for (int64_t i = 0; i < count; ++i) {
    Sample sample;
    const int64_t prompt = 3 + i % 5, chosen = 2 + i * 3 % 5, rejected = 2 + i * 2 % 5;
    for (int64_t t = 0; t < prompt + chosen + rejected; ++t) {
      sample.ids.push_back(static_cast<int32_t>((i * 7 + t * 5 + (t >= prompt + chosen)) % 48));
      sample.supervised.push_back(t >= prompt);
    }
    sample.fork = {prompt, prompt + chosen};
    dataset.add(sample);
  }
  return dataset;
}

inline Dataset make_marked(int64_t count) {
  Dataset dataset;
  for (int64_t i = 0; i < count; ++i) {
    Sample sample;
    for (int64_t t = 0; t < 6 + i % 4; ++t) {
      sample.ids.push_back(static_cast<int32_t>((i * 7 + t * 5) % 48));
      sample.supervised.push_back(t >= 3);
    }
    sample.value = i % 3 != 0 ? 1 : 0;
    dataset.add(sample);
  }
  return dataset;
}

inline TrainingConfig preference_config(const std::string& objective) {
  TrainingConfig config = base_config();
  config.objective = objective;
  config.batch_size = 6;
  return config;
}

struct PreferenceRun {
  explicit PreferenceRun(const TrainingConfig& config, at::Device where = at::kCPU)
      : train(config.objective == "kto" ? make_marked(12) : make_pairs(12)) {
    model = load_pretrained(golden_model("default"), "float32", {}, {}, where);
    AdapterConfig adapter;
    adapter.target_modules = AllLinear{};
    adapted = inject(model, adapter, config.seed);
    // B is zero at first: the policy would be the reference, and every margin 0.
    at::manual_seed(3);
    const auto shake = [&] {
      const at::NoGradGuard no_grad;
      for (const auto& [path, tensor, role] : trainable_parameters(*model)) {
        at::Tensor(tensor).add_(at::randn(tensor.sizes()).to(where) * 0.05);
      }
    };
    trainer = std::make_unique<Trainer>(*model, config, RowCursor(train, config, /*shuffle=*/false), &train);
    if (trainer->objective().needs_reference()) {
      Reference reference = compute_reference(*model, trainer->objective(), train, config, {});
      trainer->set_references(reference, reference);
    }
    shake();
  }
  std::vector<at::Tensor> weights() const {
    std::vector<at::Tensor> copies;
    for (const auto& [path, tensor, role] : trainable_parameters(*model)) copies.push_back(tensor.detach().clone());
    return copies;
  }
  Dataset train;
  std::shared_ptr<LlamaForCausalLM> model;
  AdaptedModel adapted;
  std::unique_ptr<Trainer> trainer;
};

}  // namespace lora::test
