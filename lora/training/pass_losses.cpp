#include "lora/training/pass_losses.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

namespace lora {

void PassLosses::read_with(Readings& readings) {
  for (PassLoss& pass : passes_) {
    if (pass.unread.defined()) readings.add(pass.unread, pass.loss);
    pass.unread.reset();
    pass.measures.read_with(readings);
  }
}

LossSum PassLosses::sum_over(Replicas& replicas) {
  Readings rest;
  read_with(rest);
  rest.read();
  nlohmann::json own = nlohmann::json::array();
  for (PassLoss& pass : passes_) {
    pass.measures.settle();
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
