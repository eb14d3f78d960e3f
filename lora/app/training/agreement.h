#pragma once
// What processes that train together have to have in common, and what they do in turn.

#include <functional>
#include <string>
#include <vector>

#include "lora/training/replicas.h"

namespace lora {

// Something that has to be the same in all of them: "recipe" and its text. Of a text of several lines a difference is
// told by the first line that differs.
struct CommonFact {
  std::string name, text;
};

// Throws DistributedError in every process where a fact of one differs from that of rank 0; it says which, and on which
// host. Each process gives the same names.
void expect_agreement(Replicas& replicas, const std::vector<CommonFact>& facts);

// This program, as processes of one run have to have it in common: its version, LibTorch's, and a hash of its file.
CommonFact own_program();

// Calls `work` in the process of rank 0, and in the others once that is done: what the first leaves in a cache that they
// share is then there for them.
void first_then_others(Replicas& replicas, const std::function<void()>& work);

}  // namespace lora
