#include "tests/simulated_device/arena.h"

#include <c10/util/Exception.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <string>

namespace lora::test {

// Never destroyed: tensors may outlive every static object.
Arena& Arena::get() {
  static auto* const arena = new Arena;
  return *arena;
}

Arena::Arena() {
  const char* const given = std::getenv("LORA_SIMULATED_MEMORY");
  size_ = given ? std::stoull(given) : size_t{4} << 30;
  // Addresses are twice the memory, so that blocks of several sizes find room; pages that nothing touches cost nothing.
  const size_t addresses = 2 * size_;
  const int file = ::memfd_create("simulated_device", MFD_CLOEXEC);
  TORCH_CHECK(file >= 0 && ::ftruncate(file, static_cast<off_t>(addresses)) == 0, "no memory for a simulated device");
  const auto map = [&](int protection) {
    void* const address = ::mmap(nullptr, addresses, protection, MAP_SHARED, file, 0);
    TORCH_CHECK(address != MAP_FAILED, "no addresses for a simulated device");
    return static_cast<std::byte*>(address);
  };
  outside_ = map(PROT_NONE);
  inside_ = map(PROT_READ | PROT_WRITE);
  ::close(file);
}

void* Arena::allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  const size_t block = std::bit_ceil(std::max<size_t>(bytes, 64));
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::byte*>& same = free_[block];
  const bool fits = static_cast<size_t>(memory_.held) + bytes <= size_ && (!same.empty() || end_ + block <= 2 * size_);
  if (!fits) {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "the simulated device is out of memory: tried to allocate ", bytes,
                     " bytes beside ", memory_.held, " of ", size_);
  }
  std::byte* address = nullptr;
  if (same.empty()) {
    address = outside_ + end_;
    end_ += block;
  } else {
    address = same.back();
    same.pop_back();
  }
  used_[address] = bytes;
  memory_.held += static_cast<int64_t>(bytes);
  memory_.peak = std::max(memory_.peak, memory_.held);
  std::memset(inside(address), 0xff, bytes);
  return address;
}

void Arena::release(void* address) {
  if (!address) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = used_.find(address);
  memory_.held -= static_cast<int64_t>(found->second);
  free_[std::bit_ceil(std::max<size_t>(found->second, 64))].push_back(static_cast<std::byte*>(address));
  used_.erase(found);
}

std::byte* Arena::inside(const void* address) const {
  return address ? inside_ + (static_cast<const std::byte*>(address) - outside_) : nullptr;
}

bool Arena::is_inside(const void* address) const {
  const auto* const byte = static_cast<const std::byte*>(address);
  return byte >= inside_ && byte < inside_ + 2 * size_;
}

SimulatedMemory Arena::memory() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return memory_;
}

void Arena::reset_peak() {
  const std::lock_guard<std::mutex> lock(mutex_);
  memory_.peak = memory_.held;
}

}  // namespace lora::test
