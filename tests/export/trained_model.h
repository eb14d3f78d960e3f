#pragma once
// A golden model with an adapter whose weights are random: what the exports are tested on.

#include <ATen/ATen.h>

#include "lora/adapters/inject.h"
#include "lora/export/export.h"
#include "models/network/pretrained.h"
#include "tests/golden.h"

namespace lora::test {

struct Trained {
  // `name`: of a golden model, or a directory's path.
  explicit Trained(const std::filesystem::path& name, const std::string& dtype = "auto", AdapterConfig chosen = {})
      : directory(name.has_parent_path() ? name : golden_model(name.string())), config(std::move(chosen)) {
    model = load_pretrained(directory, dtype);
    const auto* listed = std::get_if<std::vector<std::string>>(&config.target_modules);
    if (listed && listed->empty()) config.target_modules = AllLinear{};
    adapted = inject(model, config, 1);
    const at::NoGradGuard no_grad;
    at::manual_seed(3);
    for (const AdaptedModule& module : adapted.modules) {
      for (const auto& [key, tensor] : module.layer->peft_tensors()) at::Tensor(tensor).normal_(0, 0.1);
    }
    model->eval();
  }
  ExportSource source() const { return {adapted, directory, {}}; }
  at::Tensor logits(const at::Tensor& ids) const {
    const at::NoGradGuard no_grad;
    return model->forward(ids);
  }

  std::filesystem::path directory;
  std::shared_ptr<LlamaForCausalLM> model;
  AdapterConfig config;
  AdaptedModel adapted;
};

}  // namespace lora::test
