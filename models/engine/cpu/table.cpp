#include "models/engine/cpu/table.h"

#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/table.cpp"
#include <hwy/foreach_target.h>
// What follows is compiled once an instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

// Each is defined in the source of its group.
template <class T>
AttentionKernels<T> Attention();
template <class T>
ElementwiseKernels<T> Elementwise();
template <class T>
LowRankKernels<T> LowRank();
template <class T>
QuantizedKernels<T> Quantized();
RowProductKernels RowProduct();
template <class T>
WeightProductKernels<T> WeightProduct();

template <class T>
Kernels<T> All() {
  return {Attention<T>(), Elementwise<T>(), LowRank<T>(), Quantized<T>(), WeightProduct<T>()};
}

const Kernels<float>& FloatTable() {
  static const Kernels<float> all = All<float>();
  return all;
}
const Kernels<Bf16>& Bf16Table() {
  static const Kernels<Bf16> all = All<Bf16>();
  return all;
}

const RowProductKernels& RowTable() {
  static const RowProductKernels all = RowProduct();
  return all;
}

const char* TargetOfTable() { return hwy::TargetName(HWY_TARGET); }

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::kernels {

HWY_EXPORT(FloatTable);
HWY_EXPORT(Bf16Table);
HWY_EXPORT(RowTable);
HWY_EXPORT(TargetOfTable);
template <>
const Kernels<float>& table() {
  return HWY_DYNAMIC_DISPATCH(FloatTable)();
}
template <>
const Kernels<Bf16>& table() {
  return HWY_DYNAMIC_DISPATCH(Bf16Table)();
}

const RowProductKernels& row_product_kernels() { return HWY_DYNAMIC_DISPATCH(RowTable)(); }

const char* table_target() { return HWY_DYNAMIC_DISPATCH(TargetOfTable)(); }

}  // namespace lora::kernels
#endif
