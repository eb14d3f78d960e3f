#pragma once
// How a model computes a pass. Results are the same under every plan up to rounding; release_weights changes no bit. A
// plan is handed by value with each pass, so that runs with different plans can share a model.

#include <cstdint>

namespace lora {

// What a fused layer drops after its forward pass and computes again in its backward pass. Norms and the product
// act(gate) · up are always computed again. The numbers are the elements kept for each token, in the activations'
// dtype; H is the hidden size, F the inner size of the MLP. To these add: with DoRA's magnitudes, the output width of
// each group of projections that has one; with norms of queries and keys, their width; with norms after attention and
// after the MLP, H each (that of the MLP only with kNone).
enum class Recompute {
  kNone,    // keeps 2 H + attention's width + heads·dim + 2 F
  kGateUp,  // keeps the same without 2 F: computes the products of gate and up twice
  kLayer,   // keeps H: computes the whole forward pass twice
};

struct ExecutionPlan {
  int64_t tokens = 512;                    // most tokens of a training pass; a longer sample is a pass of its own
  bool fused = true;                       // compute a layer as one operation (fused_layer.h) where that is possible
  Recompute recompute = Recompute::kNone;  // of fused layers
  bool release_weights = false;            // release the memory of frozen weights that are a mapped file's
                                           // (io/file_view.h) after each use; of fused layers, and of a plain head
};

}  // namespace lora
