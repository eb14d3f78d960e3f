#pragma once
// How the pair of a low-rank adapter begins.

#include <ATen/core/Generator.h>

#include <functional>
#include <string>
#include <vector>

#include "lora/adapters/adapter_linear.h"

namespace lora {

// A pair in float32 that owns its memory, on the base's device.
struct InitialPair {
  at::Tensor lora_A, lora_B;  // (r, in) and (out, r)
};

// One value of AdapterConfig::init.
struct InitialPairRow {
  std::string name;                         // one that ends in _N has a number N there
  std::vector<std::string> elsewhere = {};  // what other tools call it, for hints
  // Whether the pair comes out of the base's weight: W = (W − s·B₀·A₀) + s·B₀·A₀.
  bool starts_from_base = false;
  // Whether a PEFT file may have the name as its init_lora_weights and be read.
  bool in_files = false;
  // Where starts_from_base: the pair out of W (out, in) float32, with s = lora_scaling.
  std::function<InitialPair(const at::Tensor& weight, int64_t rank, double scaling, int64_t number,
                            at::Generator& generator)>
      from_base = nullptr;
  // Else: fills A (r, in), and B is zero.
  std::function<void(at::Tensor& a, at::Generator& generator)> fill_a = nullptr;
};

// The names that `adapter.init` accepts: those of initial_pairs().
const Names& init_names();

// With W the base's weight and s = lora_scaling:
//   kaiming         B zero, A uniform in ±1/√in
//   gaussian        B zero, A normal with deviation 1/r
//   pissa           A₀ = √(S/s)·Vᵀ, B₀ = U·√(S/s) of W's r largest singular values (Meng et al. 2024, §3)
//   pissa_niter_N   the same of a randomised decomposition with N subspace iterations (Halko et al. 2011, algorithms
//                   4.4 and 5.1): nearly the same, much faster
//   olora           B₀ = Q and A₀ = R of W = Q·R, cut to r (Büyükakyüz 2024, algorithm 1)
const std::vector<InitialPairRow>& initial_pairs();

// Whether an init, or config.init, takes the initial pair out of the base's weight.
bool starts_from_base(const std::string& init);
bool starts_from_base(const AdapterConfig& config);

// The pair that options.config.init names. Random numbers follow from options.seed alone; decompositions may differ in
// the last bits between machines. With options.fresh false, a pair that would come out of the base is zero. Error (exit
// code 2) for an unknown name.
InitialPair initial_pair(const Linear& base, const LayerOptions& options);

}  // namespace lora
