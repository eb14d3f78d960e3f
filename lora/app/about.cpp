#include "lora/app/about.h"

#include <torch/version.h>

#include "lora/app/training/machine.h"
#include "models/engine/cpu/processor.h"
#include "models/engine/cpu/table.h"

namespace lora {

std::string about(const std::string& program) {
  const std::string features = LORA_FEATURES;
  return program + " " + LORA_VERSION + "\nLibTorch     " + TORCH_VERSION + "\nInstructions " +
         kernels::table_target() + (kernels::amx() ? " with AMX" : "") + ", LibTorch's " + instruction_set() +
         "\nBuilt with   " + (features.empty() ? "no optional part" : features);
}

}  // namespace lora
