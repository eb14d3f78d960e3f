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
  // The same for a loss () that a device is still to compute.
  void add(const at::Tensor& loss, Measures measures = {}) { passes_.push_back({0, std::move(measures), loss}); }
  // Hands over what a device is still to compute to be read before sum_over(), with what else the caller reads. No pass may
  // be added afterwards.
  void read_with(Readings& readings);
  // Of all replicas' passes. Every replica calls it once. Reads what was not handed over.
  LossSum sum_over(Replicas& replicas);

 private:
  struct PassLoss {
    double loss;
    Measures measures;
    at::Tensor unread = {};  // the loss, where a device is still to compute it
  };
  std::vector<PassLoss> passes_;
};

}  // namespace lora
