#include "lora/training/schedules.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "models/base/error.h"

namespace lora {
namespace {

struct ScheduleRow {
  std::string name;
  // What remains of the way from min_lr_ratio to 1. `progress`: the share of the steps after warm-up that are done,
  // which exceeds 1 where training continues beyond the planned end.
  double (*remaining)(double progress);
  std::vector<std::string> elsewhere = {};  // other tools' names for it
};

const std::vector<ScheduleRow>& schedules() {
  static const std::vector<ScheduleRow> rows = {
      {"constant", [](double) { return 1.0; }, {"constant_with_warmup"}},
      {"linear", [](double progress) { return std::max(0.0, 1.0 - progress); }},
      {"cosine",
       [](double progress) { return 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(1.0, progress))); },
       {"cosine_with_min_lr"}},
  };
  return rows;
}

}  // namespace

Schedule::Schedule(const TrainingConfig& config, int64_t total_steps)
    : warmup_steps_(config.warmup_ratio > 0
                        ? static_cast<int64_t>(std::ceil(config.warmup_ratio * static_cast<double>(total_steps)))
                        : config.warmup_steps),
      total_steps_(total_steps),
      min_lr_ratio_(config.min_lr_ratio) {
  const ScheduleRow* row = find_row(schedules(), config.lr_schedule);
  if (!row) {
    throw Error(ExitCode::kRecipe, "training",
                "lr_schedule: '" + config.lr_schedule + "' is not a schedule" +
                    name_hint(schedule_names(), config.lr_schedule) + "; expected one of " +
                    joined(schedule_names().known));
  }
  remaining_ = row->remaining;
}

double Schedule::operator()(int64_t step) const {
  if (step < warmup_steps_) return static_cast<double>(step) / static_cast<double>(warmup_steps_);
  const auto decay_steps = std::max<int64_t>(1, total_steps_ - warmup_steps_);
  const double progress = static_cast<double>(step - warmup_steps_) / static_cast<double>(decay_steps);
  return min_lr_ratio_ + (1.0 - min_lr_ratio_) * remaining_(progress);
}

const Names& schedule_names() {
  static const Names names = with_rows({}, schedules());
  return names;
}

}  // namespace lora
