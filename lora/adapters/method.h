#pragma once
// The table of adapter methods. A new one is a file of its own and a line in method.cpp.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/adapter_linear.h"
#include "lora/adapters/config.h"

namespace lora {

// What one layer's adapter is made from.
struct MethodOptions {
  const AdapterConfig& config;
  int64_t rank;       // of this module, after rank_pattern
  double alpha;       // likewise
  uint64_t seed;      // of this module's fresh weights
  bool fresh = true;  // false: weights will be loaded, so that a costly start is left out
};

struct Method {
  // Wraps a frozen Linear.
  std::function<std::shared_ptr<AdapterLinear>(std::shared_ptr<Linear> base, const MethodOptions& options)> wrap;
  // How PEFT's adapter_config.json names the method: its peft_type, and the keys that are true there.
  std::string peft_type = "LORA";
  std::vector<std::string> peft_flags = {};
};

// `adapter.method` -> the method. ("full" trains the network itself and wraps nothing; see inject.h.)
const std::map<std::string, Method>& methods();

}  // namespace lora
