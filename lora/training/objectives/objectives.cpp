#include "lora/training/objectives/objectives.h"

namespace lora {

const std::vector<ObjectiveRow>& objectives() {
  static const std::vector<ObjectiveRow> all = [] {
    std::vector<ObjectiveRow> rows = {causal_lm_objective(), sequence_classification_objective()};
    for (ObjectiveRow& row : pair_objectives()) rows.push_back(std::move(row));
    rows.push_back(kto_objective());
    rows.push_back(reward_objective());
    return rows;
  }();
  return all;
}

}  // namespace lora
