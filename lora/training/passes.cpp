#include "lora/training/passes.h"

#include "lora/training/objective.h"
#include "models/engine/devices.h"
#include "models/engine/row_counts.h"

namespace lora {

RowShape row_shape(const Dataset& data, const TrainingConfig& config) {
  if (learns_preferences(find_objective(config.objective).trains))
    return {.packing = false, .max_length = data.longest()};
  return {.packing = config.packing, .max_length = config.max_length};
}

std::vector<Pass> split_into_passes(const EpochPlan& plan, int64_t first, int64_t end,
                                    const std::vector<int64_t>& lengths, std::optional<int64_t> rows_per_pass,
                                    int64_t tokens) {
  std::vector<Pass> passes;
  int64_t rows = 0, held = 0;
  for (int64_t row = first; row < end; ++row) {
    if (rows_per_pass && rows++ % *rows_per_pass == 0) passes.emplace_back();
    for (const int64_t sample : plan[row]) {
      const int64_t length = lengths[static_cast<size_t>(sample)];
      if (!rows_per_pass && (passes.empty() || held + length > tokens)) {
        passes.emplace_back();
        held = 0;
      }
      held += length;
      passes.back().push_back(sample);
    }
  }
  return passes;
}

TrainBatch pass_batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& pass) {
  TrainBatch batch = make_batch(data, pass, kRowStep);
  batch.tokens.input_ids = on_device(batch.tokens.input_ids, model.device());
  return batch;
}

}  // namespace lora
