#include "lora/training/early_stopping.h"

#include <cmath>

#include "models/base/error.h"

namespace lora {

double rank_of(const Evaluation& evaluation, const std::string& best_by) {
  if (best_by == "loss") return evaluation.loss;
  const Measures::Mean* measure = evaluation.measures.find(best_by);
  if (!measure || !std::isfinite(measure->value())) {
    throw NumericsError("training.best_by: the evaluation has no finite '" + best_by + "'");
  }
  const bool lower_is_better = best_by == "kl" || best_by.ends_with("rejected");
  return lower_is_better ? measure->value() : -measure->value();
}

bool record_evaluation(Progress& progress, const Evaluation& evaluation, const std::string& best_by) {
  const double rank = rank_of(evaluation, best_by);
  if (rank < progress.best_loss) {
    progress.best_loss = rank;
    progress.best_step = progress.step;
    progress.evaluations_without_gain = 0;
    return true;
  }
  ++progress.evaluations_without_gain;
  return false;
}

bool out_of_patience(const Progress& progress, int64_t patience) {
  return patience > 0 && progress.evaluations_without_gain >= patience;
}

}  // namespace lora
