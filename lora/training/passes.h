#pragma once
// Rows split into forward passes, and a pass as tensors.

#include <cstdint>
#include <optional>
#include <vector>

#include "lora/data/batch.h"
#include "lora/training/config.h"
#include "models/network/decoder.h"

namespace lora {

using Pass = std::vector<int64_t>;  // samples, as indices into a dataset

// How samples become rows. A pair, or a marked answer, is a row of its own: these are what batch_size counts, and
// nothing is padded.
struct RowShape {
  bool packing;
  int64_t max_length;  // tokens a row
};
RowShape row_shape(const Dataset& data, const TrainingConfig& config);

// Splits the rows [first, end) of `plan`: `rows_per_pass` rows each or, without it, as many samples as stay within
// `tokens`, at least one. Where a row is split changes no result, for its samples do not see one another. `lengths`: of
// the dataset's samples.
std::vector<Pass> split_into_passes(const EpochPlan& plan, int64_t first, int64_t end,
                                    const std::vector<int64_t>& lengths, std::optional<int64_t> rows_per_pass,
                                    int64_t tokens);

// The samples of a pass as one batch, filled up to a row count that kernels are compiled for (engine/row_counts.h). The
// tokens are on the model's device, the targets on the CPU.
TrainBatch pass_batch(const LlamaForCausalLM& model, const Dataset& data, const Pass& pass);

}  // namespace lora
