#include "lora/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lora {

double schedule_factor(const TrainingConfig& config, int64_t step, int64_t total) {
  const auto warmup = config.warmup_steps;
  if (step < warmup) return static_cast<double>(step) / static_cast<double>(warmup);
  if (config.lr_schedule == "constant") return 1.0;
  const double progress =
      static_cast<double>(step - warmup) / static_cast<double>(std::max<int64_t>(1, total - warmup));
  const double left = config.lr_schedule == "linear"
                          ? std::max(0.0, 1.0 - progress)
                          : 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(1.0, progress)));
  return config.min_lr_ratio + (1.0 - config.min_lr_ratio) * left;
}

}  // namespace lora
