#include "lora/app/training/agreement.h"

#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lora/app/training/machine.h"
#include "lora/inference/exact_match.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"
#include "models/base/sha256.h"

namespace lora {
namespace {

// The first line of each that the other has not at its place.
std::pair<std::string, std::string> first_difference(const std::string& found, const std::string& expected) {
  std::istringstream a(found), b(expected);
  std::string x, y;
  bool more = true;
  while (more) {
    const bool has_x = static_cast<bool>(std::getline(a, x)), has_y = static_cast<bool>(std::getline(b, y));
    if (!has_x) x = "nothing";
    if (!has_y) y = "nothing";
    more = has_x && has_y && x == y;
  }
  return {one_line(strip(x), 100), one_line(strip(y), 100)};
}

}  // namespace

void expect_agreement(Replicas& replicas, const std::vector<CommonFact>& facts) {
  if (replicas.count() == 1) return;
  nlohmann::json own = {host_name()};
  for (const CommonFact& fact : facts) own.push_back(fact.text);
  const std::vector<nlohmann::json> all = gather_values(replicas, own);
  for (size_t i = 0; i < facts.size(); ++i) {
    const std::string expected = all.front().at(i + 1);
    for (size_t rank = 1; rank < all.size(); ++rank) {
      const std::string found = all[rank].at(i + 1);
      if (found == expected) continue;
      const auto [there, here] = first_difference(found, expected);
      throw DistributedError(all[rank].at(0).get<std::string>() + ", rank " + std::to_string(rank) + ": the " +
                             facts[i].name + " differs: found " + there + ", expected that of " +
                             all.front().at(0).get<std::string>() + ", rank 0: " + here);
    }
  }
}

CommonFact own_program() {
  return {"program", std::string("lora-train ") + LORA_VERSION + "\nLibTorch " + TORCH_VERSION + "\nSHA-256 " +
                         sha256_of_file("/proc/self/exe")};
}

void first_then_others(Replicas& replicas, const std::function<void()>& work) {
  if (replicas.rank() > 0) replicas.gather("");
  work();
  if (replicas.rank() == 0) replicas.gather("");
}

}  // namespace lora
