#pragma once
// Losses and measures of passes, added up over all replicas in the order of passes, so that the sum does not depend on
// how many replicas there are.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "lora/training/measures.h"
#include "lora/training/replicas.h"

namespace lora {

struct LossSum {
  double loss = 0;
  Measures measures = {};
};

class PassLosses {
 public:
  // Of this replica's next pass.
  void add(double loss, Measures measures = {}) { passes_.push_back({loss, std::move(measures)}); }
  // The same for a loss () that a device is still to compute: it is read with the others, by sum_over().
  void add(const at::Tensor& loss, Measures measures) {
    waiting_.push_back(loss.detach());
    passes_.push_back({0, std::move(measures)});
  }
  // Of all replicas' passes. Every replica calls it once.
  LossSum sum_over(Replicas& replicas) const;

 private:
  std::vector<double> losses() const;

  std::vector<LossSum> passes_;
  std::vector<at::Tensor> waiting_;  // of all passes, or of none
};

}  // namespace lora
