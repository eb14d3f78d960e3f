#pragma once
// Who else trains the same model on the same rows. Each replica computes every count()-th pass of a step; all of them
// make the same update.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lora {

// A process that trains alone. One that trains with others overrides all four; each call then waits for the others.
class Replicas {
 public:
  virtual ~Replicas() = default;
  virtual int64_t rank() const { return 0; }
  virtual int64_t count() const { return 1; }
  // Adds up the replicas' gradients, each tensor in place. Returns the sum of their losses.
  virtual double sum(const std::vector<at::Tensor>& /*gradients*/, double loss) { return loss; }
  // Whether any replica is asked to stop: the same answer for all.
  virtual bool agree_to_stop(bool asked) { return asked; }
};

}  // namespace lora
