#pragma once
// Scaling of losses in float16, whose smallest numbers are too large for many gradients (Micikevicius et al. 2018, section
// 3.2). The loss is multiplied by a power of two before the backward pass, and the gradients are divided by it afterwards. A
// gradient that overflows skips the step and halves the scale; many updates in a row double it. Numbers are PyTorch's
// GradScaler's.

#include <cstdint>

#include "lora/training/progress.h"

namespace lora {

inline constexpr double kFirstLossScale = 65536, kMostLossScale = 16777216;
inline constexpr int64_t kStepsToDouble = 2000;

// After a step whose gradient was finite, or overflowed.
inline void adjust_loss_scale(Progress& progress, bool overflowed) {
  if (overflowed) {
    progress.loss_scale /= 2;
    progress.steps_at_scale = 0;
  } else if (++progress.steps_at_scale == kStepsToDouble) {
    if (progress.loss_scale < kMostLossScale) progress.loss_scale *= 2;
    progress.steps_at_scale = 0;
  }
}

}  // namespace lora
