#pragma once
// Memory set aside while a library fills what its destructors do not survive half filled, as protobuf's messages.

#include <atomic>
#include <cstddef>
#include <mutex>
#include <new>

namespace lora {

// While it lives, an operator new that fails gives the reserve up and tries again. After that, and after its life, such a
// failure does what it did before. A second one waits for the end of the first. Throws std::bad_alloc where there is not
// as much memory.
class MemoryReserve {
 public:
  explicit MemoryReserve(size_t bytes) : alone_(mutex_) {
    held_ = new std::byte[bytes];
    before_ = std::set_new_handler([] {
      if (const std::byte* reserve = held_.exchange(nullptr)) {
        delete[] reserve;
        return;
      }
      if (!before_) throw std::bad_alloc();
      before_();
    });
  }
  ~MemoryReserve() {
    std::set_new_handler(before_);
    delete[] held_.exchange(nullptr);
  }
  MemoryReserve(const MemoryReserve&) = delete;
  MemoryReserve& operator=(const MemoryReserve&) = delete;

 private:
  // A handler has no arguments.
  static inline std::mutex mutex_;
  static inline std::atomic<std::byte*> held_ = nullptr;
  static inline std::new_handler before_ = nullptr;

  std::unique_lock<std::mutex> alone_;
};

}  // namespace lora
