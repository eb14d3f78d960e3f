#include "lora/training/replicas.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lora {

Replicas& alone() {
  static Replicas replicas;
  return replicas;
}

Block own_block(int64_t items, const Replicas& replicas) {
  const int64_t rank = replicas.rank(), count = replicas.count();
  return {rank * items / count, (rank + 1) * items / count};
}

std::vector<nlohmann::json> gather_values(Replicas& replicas, const nlohmann::json& own) {
  const std::vector<uint8_t> bytes = nlohmann::json::to_cbor(own);  // JSON text has no NaN
  std::vector<nlohmann::json> values;
  for (const std::string& one : replicas.gather({bytes.begin(), bytes.end()})) {
    values.push_back(nlohmann::json::from_cbor(one));
  }
  return values;
}

std::string from_first(Replicas& replicas, const std::string& own) {
  return replicas.gather(replicas.rank() == 0 ? own : "").front();
}

int agree_on_signal(Replicas& replicas, int own) {
  int signal = 0;
  for (const nlohmann::json& one : gather_values(replicas, own)) signal = std::max(signal, one.get<int>());
  return signal;
}

}  // namespace lora
