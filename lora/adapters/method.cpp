#include "lora/adapters/method.h"

#include "lora/adapters/dora_linear.h"
#include "lora/adapters/lora_linear.h"

namespace lora {
namespace {

template <typename Layer>
std::shared_ptr<AdapterLinear> wrap(std::shared_ptr<Linear> base, const MethodOptions& options) {
  return std::make_shared<Layer>(std::move(base), options);
}

}  // namespace

const std::map<std::string, Method>& methods() {
  static const std::map<std::string, Method> table = {
      {"lora", {.wrap = wrap<LoraLinear>}},
      {"dora", {.wrap = wrap<DoraLinear>, .peft_flags = {"use_dora"}}},
  };
  return table;
}

}  // namespace lora
