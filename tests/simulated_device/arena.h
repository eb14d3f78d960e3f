#pragma once
// The memory of the simulated device: one file in memory, mapped twice. Outside addresses, which tensors have, cannot be
// read or written. Inside addresses can, and are known to the device's operations alone.

#include <c10/core/CachingDeviceAllocator.h>

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

#include "tests/simulated_device/simulated_device.h"

namespace lora::test {

class Arena {
 public:
  static Arena& get();

  void* allocate(size_t bytes);  // an outside address; what is there is NaN. Throws c10::OutOfMemoryError
  void release(void* outside);
  // Both directions of the same byte. `outside` may be null, as of an empty tensor.
  std::byte* inside(const void* outside) const;
  bool is_inside(const void* address) const;

  size_t size() const { return size_; }
  SimulatedMemory memory() const;
  void reset_peak();

 private:
  Arena();

  mutable std::mutex mutex_;
  std::byte *outside_ = nullptr, *inside_ = nullptr;
  size_t size_, end_ = 0;
  std::map<size_t, std::vector<std::byte*>> free_;  // blocks by their size, a power of two
  std::map<void*, size_t> used_;
  SimulatedMemory memory_;
};

}  // namespace lora::test
