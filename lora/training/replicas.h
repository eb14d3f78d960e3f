#pragma once
// The processes that train one model together. Each computes a block of every step's passes, and all of them make the
// same update. What they tell each other is here; how it travels is behind the two virtual functions.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace lora {

// A process that trains alone. One that trains with others overrides all four. All replicas call gather() and
// exchange() in the same order; each call waits for the others.
class Replicas {
 public:
  virtual ~Replicas() = default;
  virtual int64_t rank() const { return 0; }
  virtual int64_t count() const { return 1; }
  // The bytes of every replica, by rank.
  virtual std::vector<std::string> gather(const std::string& own) { return {own}; }
  // Sends `to[r]` to replica r and returns what came from each, by rank. All tensors are (n) float32 on the CPU.
  // `sizes[r]`: the n of what comes from r.
  virtual std::vector<at::Tensor> exchange(const std::vector<at::Tensor>& to, const std::vector<int64_t>& /*sizes*/) {
    return to;
  }
};

// For functions that compute alone. Has no state.
Replicas& alone();

// A range of items, such as a step's passes.
struct Block {
  int64_t first = 0, end = 0;
};
// The part of `items` that is this replica's: contiguous, in the order of ranks, sizes that differ by one at most.
Block own_block(int64_t items, const Replicas& replicas);

// Every replica's value, by rank. Any double survives.
std::vector<nlohmann::json> gather_values(Replicas& replicas, const nlohmann::json& own);

// Of the replica of rank 0, whose `own` alone is read.
std::string from_first(Replicas& replicas, const std::string& own);

// The stop signal of a replica that has one (the largest number), 0 where none has: the same answer for all.
int agree_on_signal(Replicas& replicas, int own);

}  // namespace lora
