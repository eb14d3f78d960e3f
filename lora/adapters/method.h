#pragma once
// The table of adapter methods. A new one is a file of its own and a line in method.cpp.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lora/adapters/adapter_linear.h"

namespace lora {

struct MethodOptions {
  int64_t rank;
  double alpha;
  double dropout;
  std::string init;  // kaiming | gaussian
  uint64_t seed;     // of this module's fresh weights
};

// Wraps a frozen Linear.
using Method = std::function<std::shared_ptr<AdapterLinear>(std::shared_ptr<Linear> base, const MethodOptions&)>;

// `adapter.method` -> how to wrap one layer. ("full" trains the network itself and wraps nothing; see inject.h.)
const std::map<std::string, Method>& methods();

}  // namespace lora
