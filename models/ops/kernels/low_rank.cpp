#include "models/ops/kernels/low_rank.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/ops/kernels/low_rank.cpp"
#include <hwy/foreach_target.h>
// The includes below are made once an instruction set.
#include <hwy/highway.h>

#include "models/ops/kernels/words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

namespace float_words {
#include "models/ops/kernels/low_rank_tiles-inl.h"
}  // namespace float_words

#if LORA_BF16_PAIRS
#pragma GCC push_options
#pragma GCC target("avx512bf16")
namespace bf16_words {
#include "models/ops/kernels/low_rank_tiles-inl.h"
}  // namespace bf16_words
#pragma GCC pop_options
#endif

// Calls the kernel of bfloat16 pairs where there is one, else that of float32 words.
#if LORA_BF16_PAIRS
#define LORA_CALL(T, F, ...)                                    \
  if constexpr (std::is_same_v<T, Bf16>) {                      \
    if (HasPairs()) return bf16_words::LowRank::F(__VA_ARGS__); \
  }                                                             \
  return float_words::LowRank::F(__VA_ARGS__)
#else
#define LORA_CALL(T, F, ...) return float_words::LowRank::F(__VA_ARGS__)
#endif

#define LORA_FOR_TYPE(T, S)                                                                                            \
  void Panel##S(const float* m, size_t depth, size_t columns, size_t row, size_t column, float scale, float* panel,    \
                size_t panel_row) {                                                                                    \
    LORA_CALL(T, Panel, m, depth, columns, row, column, scale, panel, panel_row);                                      \
  }                                                                                                                    \
  size_t PanelStep##S(size_t depth, size_t panel_row) { LORA_CALL(T, PanelStep, depth, panel_row); }                   \
  void Project##S(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,    \
                  size_t y_stride, float* scratch) {                                                                   \
    LORA_CALL(T, Project, x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);                             \
  }                                                                                                                    \
  void Add##S(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,        \
              size_t y_stride, float* scratch) {                                                                       \
    LORA_CALL(T, Add, x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);                                 \
  }                                                                                                                    \
  void Gradient##S(const T* p, size_t p_stride, size_t rank, const T* x, size_t x_stride, size_t rows, size_t columns, \
                   float scale, float* out, size_t out_stride, float* scratch) {                                       \
    LORA_CALL(T, Gradient, p, p_stride, rank, x, x_stride, rows, columns, scale, out, out_stride, scratch);            \
  }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE
#undef LORA_CALL

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::kernels {

#define LORA_FOR_TYPE(T, S)                                                                                            \
  HWY_EXPORT(Panel##S);                                                                                                \
  HWY_EXPORT(PanelStep##S);                                                                                            \
  HWY_EXPORT(Project##S);                                                                                              \
  HWY_EXPORT(Add##S);                                                                                                  \
  HWY_EXPORT(Gradient##S);                                                                                             \
  template <>                                                                                                          \
  void low_rank_panel<T>(const float* m, size_t depth, size_t columns, size_t row, size_t column, float scale,         \
                         float* panel, size_t panel_row) {                                                             \
    HWY_DYNAMIC_DISPATCH(Panel##S)(m, depth, columns, row, column, scale, panel, panel_row);                           \
  }                                                                                                                    \
  template <>                                                                                                          \
  size_t low_rank_panel_step<T>(size_t depth, size_t panel_row) {                                                      \
    return HWY_DYNAMIC_DISPATCH(PanelStep##S)(depth, panel_row);                                                       \
  }                                                                                                                    \
  template <>                                                                                                          \
  void low_rank_project(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns,    \
                        T* y, size_t y_stride, float* scratch) {                                                       \
    HWY_DYNAMIC_DISPATCH(Project##S)(x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);                  \
  }                                                                                                                    \
  template <>                                                                                                          \
  void low_rank_add(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,  \
                    size_t y_stride, float* scratch) {                                                                 \
    HWY_DYNAMIC_DISPATCH(Add##S)(x, x_stride, rows, depth, panel, columns, y, y_stride, scratch);                      \
  }                                                                                                                    \
  template <>                                                                                                          \
  void low_rank_gradient(const T* p, size_t p_stride, size_t rank, const T* x, size_t x_stride, size_t rows,           \
                         size_t columns, float scale, float* out, size_t out_stride, float* scratch) {                 \
    HWY_DYNAMIC_DISPATCH(Gradient##S)(p, p_stride, rank, x, x_stride, rows, columns, scale, out, out_stride, scratch); \
  }
LORA_FOR_TYPE(float, F32)
LORA_FOR_TYPE(Bf16, Bf16)
#undef LORA_FOR_TYPE

}  // namespace lora::kernels
#endif
