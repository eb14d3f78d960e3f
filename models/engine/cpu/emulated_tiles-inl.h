// AMX's tiles in software, so that tests run AMX's kernels on processors without AMX. tiles-inl.h includes this file in
// place of the real instructions where LORA_EMULATED_AMX is defined: in one test program only.

#if defined(LORA_EMULATED_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_EMULATED_TILES_INL_H_
#undef LORA_EMULATED_TILES_INL_H_
#else
#define LORA_EMULATED_TILES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "models/engine/cpu/simd-inl.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::tiles {

struct Tile {
  uint32_t words[16][16];
};
inline thread_local Tile emulated[8];

template <int kTile>
void Load(const void* from, size_t stride_bytes) {
  for (size_t r = 0; r < 16; ++r) {
    std::memcpy(emulated[kTile].words[r], static_cast<const char*>(from) + r * stride_bytes, 64);
  }
}
template <int kTile>
void Store(void* to, size_t stride_bytes) {
  for (size_t r = 0; r < 16; ++r) std::memcpy(static_cast<char*>(to) + r * stride_bytes, emulated[kTile].words[r], 64);
}
template <int kTile>
void Zero() {
  emulated[kTile] = {};
}

inline float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
template <int kC, int kA, int kB>
void Dot() {
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 16; ++column) {
      float sum = FloatOf(emulated[kC].words[row][column]);
      for (size_t k = 0; k < 16; ++k) {
        const uint32_t a = emulated[kA].words[row][k], b = emulated[kB].words[k][column];
        sum += FloatOf(a << 16) * FloatOf(b << 16);
        sum += FloatOf(a & 0xffff0000u) * FloatOf(b & 0xffff0000u);
      }
      std::memcpy(&emulated[kC].words[row][column], &sum, sizeof(sum));
    }
  }
}

class Scope {
 public:
  Scope() {}
  ~Scope() {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
};

}  // namespace lora::kernels::HWY_NAMESPACE::tiles
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_EMULATED_TILES_INL_H_
