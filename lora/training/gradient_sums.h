#pragma once
// The sum of a step's gradients in an order that does not depend on how many processes compute its passes. Floating
// point is not associative, so the order decides the bits.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "lora/training/replicas.h"
#include "models/network/decoder.h"

namespace lora {

enum class SumOrder {
  // Along a binary tree over the passes, whose ranges [first, end) are split at first + (end - first) / 2. Any block of
  // passes is a few whole subtrees (a single one, where a power of two of equal blocks make up the step), so that
  // processes add up what is theirs and the rest is added in the same order: the bits are those of one process. Holds a
  // sum for each level of the tree.
  kTree,
  // Left to right. Each process holds one sum, and the processes' sums are added in the order of ranks: the bits depend
  // on how many there are.
  kPlain,
};

// Plain where the network itself is trained, for which a tree's sums would be several copies of it.
SumOrder sum_order_of(const LlamaForCausalLM& model);

// The sum over the passes [first, end). `tensors` is empty where none of them has a term: adding that changes nothing.
struct PartialSum {
  int64_t first = 0, end = 0;
  std::vector<at::Tensor> tensors = {};
};

// Passes, or sums of them, added one after the other.
class GradientSums {
 public:
  // Of a step of so many passes.
  GradientSums(int64_t passes, SumOrder order) : passes_(passes), order_(order) {}

  // The next passes; they begin anywhere for the first call, then where the last ones ended. Its tensors are read, or
  // held and added to: see detach().
  void add(PartialSum next);
  // Copies the tensors of the last add(), where they are held, so that the caller may write to them.
  void detach();

  // What has been added, as few sums as the order allows, in the order of passes.
  const std::vector<PartialSum>& sums() const { return sums_; }
  int64_t passes() const { return passes_; }
  SumOrder order() const { return order_; }

 private:
  bool joins(const PartialSum& left, const PartialSum& right) const;

  int64_t passes_;
  SumOrder order_;
  std::vector<PartialSum> sums_;
  bool holds_last_ = false;  // the tensors of sums_.back() are the caller's
};

// How many sums GradientSums(passes, kTree) holds at most beside the gradient that is being computed.
int64_t held_sums(int64_t passes);

// Makes `gradients` the sum over all passes of the step, the same on every replica. `own`: of this replica's block,
// with tensors of the shapes of `gradients`, which are (n) float32. Each replica adds up a shard of every tensor in the
// order of `own`, and sends it to the others.
void sum_over(Replicas& replicas, const GradientSums& own, const std::vector<at::Tensor>& gradients);

}  // namespace lora
