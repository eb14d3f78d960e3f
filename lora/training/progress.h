#pragma once
// How far a run is: what its checkpoints keep beside tensors.

#include <cstdint>
#include <limits>

#include "lora/training/row_cursor.h"

namespace lora {

struct Progress {
  int64_t step = 0;  // optimizer steps done
  RowPlace place;    // of the next step's first row
  int64_t tokens = 0;
  int64_t supervised_tokens = 0;
  double best_loss = std::numeric_limits<double>::infinity();  // of the best evaluation: rank_of()
  int64_t best_step = 0;                                       // 0: no evaluation yet
  int64_t evaluations_without_gain = 0;                        // since best_step
  int64_t skipped_steps = 0;                                   // of `step`, those without an update
  int64_t skipped_in_row = 0;                                  // up to the last step
  double loss_scale = 0;                                       // see loss_scale.h; 0: losses are not scaled
  int64_t steps_at_scale = 0;                                  // updates since it last changed
};

}  // namespace lora
