#include "lora/adapters/methods/full.h"

namespace lora {
namespace {

std::optional<OptionProblem> full_problem(const AdapterConfig& config) {
  if (!config.init_from.empty()) {
    return OptionProblem{"init_from", "method full has no adapter to continue from; put the model in model.path"};
  }
  if (config.use_rslora) return OptionProblem{"use_rslora", "not with method full, which has no adapter to scale"};
  // Whoever leaves modules out expects them to stay as they are.
  if (config.exclude_modules != ModulePatterns(std::vector<std::string>{})) {
    return OptionProblem{"exclude_modules", "method full trains every module; expected none"};
  }
  if (!config.layers_to_transform.empty()) {
    return OptionProblem{"layers_to_transform", "method full trains every layer; expected none"};
  }
  if (config.bias != Bias::kNone) return OptionProblem{"bias", "method full trains the biases already"};
  if (!config.trainable_token_indices.empty()) {
    return OptionProblem{"trainable_token_indices", "method full trains every row already"};
  }
  return std::nullopt;
}

}  // namespace

Method full_method() {
  return {.name = "full",
          .elsewhere = {"full_finetune"},
          .trains_network = true,
          .is_baseline = true,
          .problem = full_problem};
}

}  // namespace lora
