#include "lora/training/early_stopping.h"

namespace lora {

bool record_validation_loss(Progress& progress, double loss) {
  if (loss < progress.best_loss) {
    progress.best_loss = loss;
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
