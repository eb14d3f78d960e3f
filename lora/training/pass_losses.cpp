#include "lora/training/pass_losses.h"

#include <nlohmann/json.hpp>

namespace lora {

LossSum PassLosses::sum_over(Replicas& replicas) const {
  nlohmann::json own = nlohmann::json::array();
  for (const LossSum& pass : passes_) {
    nlohmann::json means = nlohmann::json::array();
    for (const Measures::Mean& mean : pass.measures.means()) {
      means.push_back({mean.name, mean.sum, mean.count, mean.is_set});
    }
    own.push_back({pass.loss, means});
  }
  LossSum all;
  for (const nlohmann::json& passes : gather_values(replicas, own)) {
    for (const nlohmann::json& pass : passes) {
      all.loss += pass[0].get<double>();
      for (const nlohmann::json& mean : pass[1]) all.measures.merge({mean[0], mean[1], mean[2], mean[3]});
    }
  }
  return all;
}

}  // namespace lora
