#pragma once
// The device that cases of this folder with the tag [any_device] run on: the simulated one, or LORA_TEST_DEVICE, by which
// scripts/check_gpu runs them on a GPU.

#include <cstdlib>

#include "models/engine/devices.h"
#include "tests/simulated_device/simulated_device.h"

namespace lora::test {

inline at::Device tested_device() {
  const char* const name = std::getenv("LORA_TEST_DEVICE");
  return name ? named_device(name) : simulated_device();
}

inline const at::Device device = tested_device();

}  // namespace lora::test
