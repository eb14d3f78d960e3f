#include "models/ops/kernels/amx.h"

#include <atomic>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lora::kernels {
namespace {

std::atomic<bool> forbidden_now{false};

bool granted() {
#if defined(__x86_64__) && defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kBf16 = 1u << 22, kTiles = 1u << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (kBf16 | kTiles)) != (kBf16 | kTiles)) return false;
  // Tiles are large, so that Linux saves them only for processes that asked to have them.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

bool amx() {
  static const bool usable = granted();
  return usable && !forbidden_now.load(std::memory_order_relaxed);
}

void forbid_amx(bool forbidden) { forbidden_now = forbidden; }

}  // namespace lora::kernels
