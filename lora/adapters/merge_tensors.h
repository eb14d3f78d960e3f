#pragma once
// How several tensors become one: what PEFT's merge_utils.py offers, with its numbers.
//
//   linear           Σ wᵢ tᵢ
//   magnitude_prune  the same, with only the share `density` of each tᵢ that is largest in magnitude
//   dare_linear      the same, with a random share `density` of each tᵢ, divided by `density`
//                    (DARE, Yu et al. 2023)
//   ties             each tᵢ is pruned by magnitude. For each element the sign with more weight is elected, and only
//                    the tᵢ of that sign count: the sum of their wᵢ tᵢ, divided by how many they are
//                    (TIES, Yadav et al. 2023, §4)
//   dare_ties        the same as ties, with each tᵢ pruned at random as in dare_linear
//
// The election sums tᵢ, or the signs with majority_sign "frequency", without the weights; a sum of zero is positive.

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace lora {

struct MergeRule {
  std::string kind;                     // of those above
  double density = 1.0;                 // in (0, 1]; 1 prunes nothing
  std::string majority_sign = "total";  // total | frequency
};

// Tensors of one shape, float32; a weight each. `generator` is drawn from by the random kinds alone, once a tensor in
// order.
at::Tensor merge_tensors(const std::vector<at::Tensor>& tensors, const std::vector<double>& weights,
                         const MergeRule& rule, at::Generator& generator);

}  // namespace lora
