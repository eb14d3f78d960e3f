#include "lora/adapters/method.h"

#include "lora/adapters/methods/adalora.h"
#include "lora/adapters/methods/adalora_linear.h"
#include "lora/adapters/methods/adalora_peft.h"
#include "lora/adapters/methods/dora_linear.h"
#include "lora/adapters/methods/lora_fa.h"
#include "lora/adapters/methods/lora_linear.h"
#include "lora/adapters/training_hooks.h"

namespace lora {
namespace {

template <typename Layer>
std::shared_ptr<AdapterLinear> wrap(std::shared_ptr<Linear> base, const MethodOptions& options) {
  return std::make_shared<Layer>(std::move(base), options);
}

}  // namespace

const std::map<std::string, Method>& methods() {
  static const std::map<std::string, Method> table = {
      {"lora", {.wrap = wrap<LoraLinear>, .adapts_embeddings = true}},
      {"adalora",
       {.wrap = wrap<AdaLoraLinear>,
        .peft_type = "ADALORA",
        .hooks = adalora_hooks,
        .write_config = write_adalora_config,
        .take_config = take_adalora_config,
        .finished = pruned_adalora}},
      {"lora_fa",
       {.wrap = wrap_lora_fa,
        .hooks = [](const Adaptation& adaptation, const AdapterConfig&,
                    int64_t) { return lora_fa_hooks(adaptation); }}},
      {"dora", {.wrap = wrap<DoraLinear>, .peft_flags = {"use_dora"}}},
  };
  return table;
}

const Names& method_names() {
  static const Names names = [] {
    Names made = {{}, {{"qlora", "lora"}, {"full_finetune", "full"}}};
    for (const auto& [name, method] : methods()) made.known.push_back(name);
    made.known.insert(made.known.end(), {"rslora", "full"});
    return made;
  }();
  return names;
}

std::unique_ptr<TrainingHooks> training_hooks(const Adaptation& adaptation, const AdapterConfig& config,
                                              int64_t total_steps) {
  const auto method = methods().find(config.method);
  if (method == methods().end() || !method->second.hooks) return nullptr;
  return method->second.hooks(adaptation, config, total_steps);
}

}  // namespace lora
