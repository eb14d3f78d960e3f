#pragma once
// Losses and measures of passes, added up over all replicas in the order of passes, so that the sum does not depend on
// how many replicas there are.

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
  // Of all replicas' passes. Every replica calls it once.
  LossSum sum_over(Replicas& replicas) const;

 private:
  std::vector<LossSum> passes_;
};

}  // namespace lora
