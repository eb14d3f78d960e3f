#include "lora/adapters/training_hooks.h"

#include <nlohmann/json.hpp>

namespace lora {

nlohmann::ordered_json TrainingHooks::metrics() const { return nlohmann::ordered_json::object(); }

}  // namespace lora
