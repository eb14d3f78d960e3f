#include "models/engine/cpu/processor.h"

#include <atomic>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lora::kernels {
namespace {

std::atomic<bool> forbidden_now{false};

// Registers of CPUID leaf 7; zeros where the processor does not have it.
struct Features {
  unsigned a = 0, b = 0, c = 0, d = 0;
  explicit Features([[maybe_unused]] unsigned subleaf) {
#if defined(__x86_64__)
    if (!__get_cpuid_count(7, subleaf, &a, &b, &c, &d)) a = b = c = d = 0;
#endif
  }
};

bool granted() {
#if defined(LORA_EMULATED_AMX)
  return avx512_bf16;
#elif defined(__x86_64__) && defined(__linux__)
  constexpr unsigned kBf16 = 1u << 22, kTiles = 1u << 24;
  if ((Features(0).d & (kBf16 | kTiles)) != (kBf16 | kTiles)) return false;
  // Tiles are large: Linux saves their contents only for processes that request permission.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

const bool avx512_bf16 = (Features(1).a & (1u << 5)) != 0;

const bool library_has_bf16 = [] {
  constexpr unsigned kAvx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
  return (Features(0).b & kAvx512) == kAvx512;
}();

bool amx() {
  static const bool usable = granted();
  return usable && !forbidden_now.load(std::memory_order_relaxed);
}

void forbid_amx(bool forbidden) { forbidden_now = forbidden; }

}  // namespace lora::kernels
