#pragma once
// How the pair of a low-rank adapter begins.

#include "lora/adapters/method.h"

namespace lora {

// A pair in float32 that owns its memory, on the base's device.
struct InitialPair {
  at::Tensor lora_A, lora_B;  // (r, in) and (out, r)
};

// The names that `adapter.init` accepts.
const Names& init_names();

// By config.init, with W the base's weight and s = lora_scaling:
//   kaiming         B zero, A uniform in ±1/√in
//   gaussian        B zero, A normal with deviation 1/r
//   pissa           A₀ = √(S/s)·Vᵀ, B₀ = U·√(S/s) of W's r largest singular values (Meng et al. 2024, §3)
//   pissa_niter_N   the same of a randomised decomposition with N subspace iterations (Halko et al. 2011, algorithms
//                   4.4 and 5.1): nearly the same, much faster
//   olora           B₀ = Q and A₀ = R of W = Q·R, cut to r (Büyükakyüz 2024, algorithm 1)
// Random numbers follow from options.seed alone; decompositions may differ in the last bits between machines. Where
// options.fresh is false a pair that the base would give is zero.
InitialPair initial_pair(const Linear& base, const MethodOptions& options);

}  // namespace lora
