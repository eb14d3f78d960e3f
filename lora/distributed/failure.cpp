#include "lora/distributed/failure.h"

#include <algorithm>

namespace lora {

Failure verdict(const std::vector<Failure>& failures, const std::vector<std::string>& hosts) {
  const auto failed = [](const Failure& one) { return !one.message.empty(); };
  const auto first = std::ranges::find_if(failures, failed);
  // Of all: the messages differ at most in where a process has its copy of a file.
  if (std::ranges::all_of(failures, [&](const Failure& one) { return failed(one) && one.code == first->code; })) {
    return *first;
  }
  const auto count = std::ranges::count_if(failures, failed);
  const auto rank = first - failures.begin();
  std::string message = hosts[static_cast<size_t>(rank)] + ", rank " + std::to_string(rank) + ": " + first->message;
  if (count > 1) message += " (and " + std::to_string(count - 1) + " more of " + std::to_string(failures.size()) + ")";
  return {static_cast<int>(ExitCode::kDistributed), DistributedError(message).what()};
}

}  // namespace lora
