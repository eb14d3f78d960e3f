// Uses a header and a compiled function of several rooms, as an installed user would.

#include <ATen/ATen.h>

#include "lora/adapters/config.h"
#include "lora/log/log.h"
#include "lora/recipe/recipe.h"
#include "models/base/error.h"

int main() {
  lora::log_info("lora-train from its installed package, on a tensor of " + std::to_string(at::ones({2, 3}).numel()));
  try {
    lora::load_recipe("no-such-recipe.yaml");
  } catch (const lora::Error& error) {
    lora::log_info(error.what());
    return 0;
  }
  return 1;
}
