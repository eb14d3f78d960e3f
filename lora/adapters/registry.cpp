#include "lora/adapters/registry.h"

#include <algorithm>

#include "lora/adapters/methods/adalora.h"
#include "lora/adapters/methods/dora.h"
#include "lora/adapters/methods/full.h"
#include "lora/adapters/methods/lora.h"
#include "lora/adapters/methods/lora_fa.h"
#include "models/base/error.h"

namespace lora {

const std::vector<Method>& methods() {
  static const std::vector<Method> table = {
      lora_method(), rslora_method(), dora_method(), lora_fa_method(), adalora_method(), full_method(),
  };
  return table;
}

const Names& method_names() {
  static const Names names = with_rows({}, methods());
  return names;
}

const Method& find_method(const std::string& name) {
  const auto found = std::ranges::find(methods(), name, &Method::name);
  if (found == methods().end()) throw AdapterError("method '" + name + "' is not available");
  return *found;
}

AdapterConfig resolved_method(AdapterConfig config) {
  if (const auto& resolve = find_method(config.method).resolve) resolve(config);
  return config;
}

std::unique_ptr<TrainingHooks> training_hooks(AdaptedModel& adapted, int64_t total_steps) {
  const Method& method = find_method(adapted.config.method);
  return method.hooks ? method.hooks(adapted, total_steps) : nullptr;
}

}  // namespace lora
