#pragma once
// How processes that train together end together where one of them fails.

#include <string>
#include <vector>

#include "models/base/error.h"

namespace lora {

// What all of them end with. A failure of all with one exit code is that of rank 0. A failure of some has exit code 7,
// and says on which host and rank it was. `failures` and `hosts`: by rank; one without a message is none, and at least one
// has a message.
Failure verdict(const std::vector<Failure>& failures, const std::vector<std::string>& hosts);

// Thrown where the others said that they failed.
struct TogetherFailed {
  Failure verdict;
};

}  // namespace lora
