#pragma once
// Several adapters of one base as one: ΔW ≈ Σ wᵢ sᵢ BᵢAᵢ, in the kinds of PEFT's add_weighted_adapter.
//
//   cat     A = [wᵢsᵢAᵢ] above one another, B = [Bᵢ] side by side: exact, of rank Σ rᵢ
//   svd     the best approximation of rank svd_rank, from the factors, without ever forming ΔW
//   linear, ties, dare_linear, dare_ties, magnitude_prune
//           A and B merged each on its own (see merge_tensors.h) with √|wᵢsᵢ|, the sign on A: of the adapters' rank,
//           which has to be one, and coarse, for the product of two sums has mixed terms
//   ties_svd, dare_linear_svd, dare_ties_svd, magnitude_prune_svd
//           sᵢBᵢAᵢ merged as matrices, one module at a time, then cut to svd_rank
//
// The result is plain LoRA with α = r, so that its scaling is one, whatever the methods were: sᵢ is each layer's own
// (α/√r of rslora, AdaLoRA's by its initial rank). PEFT 0.20 applied sᵢ twice in the svd kinds, and up to 0.21.2 keeps
// the first adapter's use_rslora beside lora_alpha = r, which scales the sum by √r; neither is copied. Elsewhere the
// numbers are PEFT's. The random kinds draw from one generator seeded with `seed`, module by module in the model's
// order, A of every adapter before B, as PEFT does after torch.manual_seed(seed).

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapters/adapter_set.h"
#include "lora/adapters/merge_tensors.h"

namespace lora {

struct CombineOptions {
  std::string type = "cat";                           // one of combination_names()
  std::optional<int64_t> svd_rank = {};               // of the svd kinds; none: the largest of the adapters' ranks
  std::optional<double> density = {};                 // in (0, 1], of the kinds that prune, which need it
  MajoritySign majority_sign = MajoritySign::kTotal;  // of the kinds that elect
  uint64_t seed = 0;                                  // of the dare kinds
};

// What is merged: A and B of all adapters side by side, A and B each on its own, or the products B·A.
enum class Combines { kStacked, kFactors, kProducts };

struct CombinationType {
  std::string name;
  Combines combines;
  bool cut = false;  // to svd_rank
  Prune prune = Prune::kNone;
  bool elects = false;
  std::vector<std::string> elsewhere = {};  // other tools' names for it
};

// All types; a new one is a row in combine.cpp.
const std::vector<CombinationType>& combination_types();
const Names& combination_names();

struct CombinedModule {
  std::string path;
  int64_t rank;
  double error;  // ‖ΔW − Σ wᵢsᵢBᵢAᵢ‖ / ‖Σ wᵢsᵢBᵢAᵢ‖, Frobenius
};

struct CombinedAdapter {
  AdaptedModel adapted;  // detached: attach() puts it into the base
  std::vector<CombinedModule> modules;
  double error;  // the same over all modules together
};

using WeightedNames = std::vector<std::pair<std::string, double>>;

// A module that only some adapters have is combined from these. Error (exit code 2) for options that do not fit the
// type, ranks that differ where they must not, and by name for an adapter whose update is not s·B·A (DoRA: merge it
// first) or that trains modules whole. The set changes in one thing alone: the bare base is active afterwards.
CombinedAdapter combine(AdapterSet& set, const WeightedNames& weighted, const CombineOptions& options);

}  // namespace lora
