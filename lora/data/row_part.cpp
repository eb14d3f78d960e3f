#include "lora/data/row_part.h"

#include <algorithm>
#include <cmath>

#include "lora/data/shuffle.h"

namespace lora {

bool uses_row(const RowPart& part, int64_t row) {
  if (part.use == RowPart::Use::kAll) return true;
  // Stretch i is the rows [ceil(i / share), ceil((i + 1) / share)).
  const auto begin_of = [&](int64_t stretch) {
    return static_cast<int64_t>(std::min(9e18, std::ceil(static_cast<double>(stretch) / part.share)));
  };
  auto stretch = static_cast<int64_t>(static_cast<double>(row) * part.share);
  while (begin_of(stretch) > row) --stretch;  // rounding
  while (begin_of(stretch + 1) <= row) ++stretch;
  const int64_t begin = begin_of(stretch), rows = begin_of(stretch + 1) - begin;
  const uint64_t seed = SplitMix64(part.seed).next() ^ static_cast<uint64_t>(stretch);
  const uint64_t drawn = SplitMix64(seed).next() % static_cast<uint64_t>(rows);
  const bool validation = row - begin == static_cast<int64_t>(drawn);
  return validation == (part.use == RowPart::Use::kValidation);
}

DataConfig split_off_validation(DataConfig data, uint64_t seed) {
  if (data.validation_split == 0) return data;
  data.validation = data.train;
  for (DataSource& source : data.train) source.part = {RowPart::Use::kTraining, data.validation_split, seed};
  for (DataSource& source : data.validation) {
    source.part = {RowPart::Use::kValidation, data.validation_split, seed};
    source.weight = source.epochs = 1.0;
  }
  return data;
}

}  // namespace lora
