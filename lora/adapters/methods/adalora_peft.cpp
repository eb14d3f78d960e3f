#include "lora/adapters/methods/adalora_peft.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lora/adapters/methods/adalora_linear.h"
#include "lora/adapters/methods/lora_linear.h"
#include "models/base/error.h"

namespace lora {
namespace {

constexpr const char* kSuffix = ".lora_E";

const AdaLoraLinear& layer_of(const AdaptedModule& module) { return dynamic_cast<const AdaLoraLinear&>(*module.layer); }

// The rows that count: (n) int64.
at::Tensor kept_rows(const AdaLoraLinear& layer) { return layer.lora_E.detach().view(-1).nonzero().view(-1); }

bool untrained(const Adaptation& adaptation) {
  return std::ranges::all_of(adaptation.modules,
                             [](const AdaptedModule& module) { return kept_rows(layer_of(module)).numel() == 0; });
}

}  // namespace

void write_adalora_config(nlohmann::ordered_json& file, const Adaptation& adaptation, const AdapterConfig& config) {
  const AdaLoraConfig& adalora = config.adalora;
  file["r"] = 8;  // not used, and PEFT warns of any other value
  file["init_r"] = config.rank;
  file["target_r"] = adalora.target_r;
  file["tinit"] = adalora.tinit;
  file["tfinal"] = adalora.tfinal;
  file["deltaT"] = adalora.delta_t;
  file["beta1"] = adalora.beta1;
  file["beta2"] = adalora.beta2;
  file["orth_reg_weight"] = adalora.orth_reg_weight;
  file["total_step"] = adalora.total_step;
  file["rank_pattern"] = nullptr;
  // PEFT warns of every file that has the key, so only one that needs it does.
  const bool whole = std::ranges::all_of(adaptation.modules, [](const AdaptedModule& module) {
    return std::ranges::count(layer_of(module).pattern, false) == 0;
  });
  if (config.rank_pattern.empty() || whole) return;
  for (const AdaptedModule& module : adaptation.modules) {
    file["rank_pattern"][module.path + kSuffix] = layer_of(module).pattern;
  }
}

void take_adalora_config(nlohmann::json& file, AdapterConfig& config) {
  const auto take = [&](const char* key, auto& value) {
    if (file.contains(key) && !file[key].is_null()) file[key].get_to(value);
    file.erase(key);
  };
  AdaLoraConfig& adalora = config.adalora;
  config.rank = 12;
  take("init_r", config.rank);
  take("target_r", adalora.target_r);
  take("tinit", adalora.tinit);
  take("tfinal", adalora.tfinal);
  take("deltaT", adalora.delta_t);
  take("beta1", adalora.beta1);
  take("beta2", adalora.beta2);
  take("orth_reg_weight", adalora.orth_reg_weight);
  take("total_step", adalora.total_step);
  std::map<std::string, std::vector<bool>> masks;
  take("rank_pattern", masks);
  for (const auto& [name, mask] : masks) {
    if (!name.ends_with(kSuffix)) throw ModelError("rank_pattern: '" + name + "' does not end in " + kSuffix);
    if (static_cast<int64_t>(mask.size()) != config.rank) {
      throw ModelError("rank_pattern: '" + name + "' has " + std::to_string(mask.size()) + " entries; wanted init_r, " +
                       std::to_string(config.rank));
    }
    config.rank_pattern.emplace_back(name.substr(0, name.size() - std::string_view(kSuffix).size()),
                                     std::ranges::count(mask, true));
  }
  file.erase("r");
  file.erase("alpha_pattern");  // PEFT's AdaLoRA has one α for all
}

AdapterForm pruned_adalora(const Adaptation& adaptation, const AdapterConfig& config) {
  const at::NoGradGuard no_grad;
  AdapterForm form{adaptation, config};
  if (untrained(adaptation)) return form;
  form.config.rank_pattern.clear();
  for (AdaptedModule& module : form.adaptation.modules) {
    const AdaLoraLinear& full = layer_of(module);
    const at::Tensor rows = kept_rows(full);
    const auto layer = std::make_shared<AdaLoraLinear>(
        full.base_layer(), MethodOptions{.config = config, .rank = rows.numel(), .alpha = full.alpha(), .seed = 0});
    layer->lora_A.copy_(full.lora_A.index_select(0, rows));
    layer->lora_E.copy_(full.lora_E.index_select(0, rows));
    layer->lora_B.copy_(full.lora_B.index_select(1, rows));
    // Places among the first ranks, of which `full` may itself hold only some.
    std::vector<size_t> places;
    for (size_t i = 0; i < full.pattern.size(); ++i) {
      if (full.pattern[i]) places.push_back(i);
    }
    layer->pattern.assign(full.pattern.size(), false);
    for (int64_t i = 0; i < rows.numel(); ++i) {
      layer->pattern[places[static_cast<size_t>(rows[i].item<int64_t>())]] = true;
    }
    form.config.rank_pattern.emplace_back(module.path, rows.numel());
    module.layer = layer;
  }
  return form;
}

AdapterForm adalora_as_lora(const Adaptation& adaptation, const AdapterConfig& config) {
  const at::NoGradGuard no_grad;
  AdapterForm form{adaptation, config};
  form.adaptation.modules.clear();
  form.config.method = "lora";
  form.config.adalora = {};
  form.config.exclude_modules = std::vector<std::string>{};
  form.config.layers_to_transform.clear();
  form.config.rank_pattern.clear();
  const bool whole = untrained(adaptation);
  std::vector<std::string> targets;
  for (const AdaptedModule& module : adaptation.modules) {
    const AdaLoraLinear& layer = layer_of(module);
    const at::Tensor rows = whole ? at::arange(layer.rank()) : kept_rows(layer);
    if (rows.numel() == 0) continue;
    const double alpha = layer.scaling() * static_cast<double>(rows.numel());
    const auto plain = std::make_shared<LoraLinear>(
        layer.base_layer(), MethodOptions{.config = form.config, .rank = rows.numel(), .alpha = alpha, .seed = 0});
    plain->lora_A.copy_((layer.lora_A * layer.lora_E).index_select(0, rows));
    plain->lora_B.copy_(layer.lora_B.index_select(1, rows));
    form.adaptation.modules.push_back({module.path, plain});
    targets.push_back(module.path);
    form.config.rank_pattern.emplace_back(module.path, rows.numel());
    form.config.alpha_pattern.emplace_back(module.path, alpha);
  }
  form.config.target_modules = targets;
  return form;
}

}  // namespace lora
