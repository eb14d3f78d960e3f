#pragma once
// Learning-rate schedules, with the numbers of transformers' get_*_schedule_with_warmup. A new schedule is a row of the
// table in schedules.cpp.

#include <cstdint>

#include "lora/training/config.h"

namespace lora {

// The factor that all learning rates are multiplied by.
class Schedule {
 public:
  // `config`: lr_schedule, warmup_steps or warmup_ratio, and min_lr_ratio. Throws Error (exit code 2) for an
  // lr_schedule that the table does not have.
  Schedule(const TrainingConfig& config, int64_t total_steps);

  // Of optimizer step `step`, counted from 0. During warm-up it rises linearly from 0, so that the first of several
  // warm-up steps changes nothing. Then it falls from 1 to min_lr_ratio as the schedule says.
  double operator()(int64_t step) const;

 private:
  double (*remaining_)(double progress);
  int64_t warmup_steps_, total_steps_;
  double min_lr_ratio_;
};

// The names that `training.lr_schedule` accepts.
const Names& schedule_names();

}  // namespace lora
