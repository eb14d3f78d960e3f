#pragma once
// Several tensors as one, with the numbers of PEFT's merge_utils.py: Σ wᵢ tᵢ, where each tᵢ may be pruned first.
//
//   Prune::kSmallest  the share `density` of the values that are largest in magnitude stays
//   Prune::kRandom    a random share `density` of the values stays, divided by `density` (DARE, Yu et al. 2023)
//   elects            each element elects a sign; the sum is over the tᵢ of that sign, divided by their number (TIES,
//                     Yadav et al. 2023, §4)
//
// The election has no weights: it sums tᵢ, or their signs with MajoritySign::kFrequency. A sum of zero is positive.

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <vector>

#include "models/base/names.h"

namespace lora {

enum class Prune { kNone, kSmallest, kRandom };  // the values of a tensor that become zero

// What the elected sign is a majority of: the sum of the values, or their number.
enum class MajoritySign { kTotal, kFrequency };
inline const Names& names_of(MajoritySign) {
  static const Names names = {{"total", "frequency"}};
  return names;
}

struct MergeRule {
  Prune prune = Prune::kNone;
  bool elects = false;   // a sign for each element
  double density = 1.0;  // in (0, 1]: the share of values that stays
  MajoritySign majority_sign = MajoritySign::kTotal;
};

// Tensors of one shape, float32, and a weight for each. Prune::kRandom draws from `generator`, once for each tensor in
// order.
at::Tensor merge_tensors(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                         const MergeRule& rule, at::Generator& generator);

}  // namespace lora
