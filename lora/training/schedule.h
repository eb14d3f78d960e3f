#pragma once
// Learning-rate schedules, with the numbers of transformers' get_*_schedule_with_warmup.

#include <cstdint>

#include "lora/training/config.h"

namespace lora {

// What the rates are multiplied by in optimizer step `step` (0-based) of `total`. Warm-up rises linearly from 0, so
// that the first of several warm-up steps changes nothing. cosine ends at min_lr_ratio, linear likewise, constant stays
// at 1.
double schedule_factor(const TrainingConfig& config, int64_t step, int64_t total);

}  // namespace lora
