#pragma once
// All kernels as one table of function pointers an instruction set. Each group of kernels has a header that documents
// it, and a source that is compiled once an instruction set and fills its part of each table.
//
// No kernel allocates memory or starts threads: the caller divides the work.

#include "models/engine/cpu/attention.h"
#include "models/engine/cpu/elementwise.h"
#include "models/engine/cpu/low_rank.h"
#include "models/engine/cpu/quantized.h"
#include "models/engine/cpu/row_product.h"
#include "models/engine/cpu/weight_product.h"

namespace lora::kernels {

// For elements of T: float or Bf16.
template <class T>
struct Kernels {
  AttentionKernels<T> attention;
  ElementwiseKernels<T> elementwise;
  LowRankKernels<T> low_rank;
  QuantizedKernels<T> quantized;
  WeightProductKernels<T> weight_product;
};

// Of the best instruction set too: they take all encodings of a weight.
const RowProductKernels& row_product_kernels();

// The table of the best instruction set that this processor has.
template <class T>
const Kernels<T>& table();

// Highway's name of that instruction set: "AVX3_ZEN4", "NEON".
const char* table_target();

}  // namespace lora::kernels
