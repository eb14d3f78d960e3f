#include "lora/training/pass_losses.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

namespace lora {

std::vector<double> PassLosses::losses() const {
  std::vector<double> all;
  if (waiting_.empty()) {
    for (const LossSum& pass : passes_) all.push_back(pass.loss);
    return all;
  }
  const at::Tensor read = at::stack(waiting_).to(at::kDouble).cpu();
  all.assign(read.const_data_ptr<double>(), read.const_data_ptr<double>() + read.numel());
  return all;
}

LossSum PassLosses::sum_over(Replicas& replicas) const {
  nlohmann::json own = nlohmann::json::array();
  const std::vector<double> read = losses();
  for (size_t i = 0; i < passes_.size(); ++i) {
    const LossSum& pass = passes_[i];
    nlohmann::json means = nlohmann::json::array();
    for (const Measures::Mean& mean : pass.measures.means()) {
      means.push_back({mean.name, mean.sum, mean.count, mean.is_set});
    }
    own.push_back({read[i], means});
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
