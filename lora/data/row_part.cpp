#include "lora/data/row_part.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "lora/data/input.h"
#include "lora/data/rows.h"
#include "lora/data/shuffle.h"
#include "models/base/error.h"

namespace lora {

bool uses_row(const RowPart& part, int64_t row) {
  if (part.use == RowPart::Use::kAll) return true;
  // Rows behind those that were counted.
  if (part.rows > 0 && (part.chosen == 0 || row >= part.rows)) return part.use == RowPart::Use::kTraining;
  // Stretch i is the rows [ceil(i / share), ceil((i + 1) / share)).
  const auto begin_of = [&](int64_t stretch) {
    if (part.rows > 0) return (stretch * part.rows + part.chosen - 1) / part.chosen;
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

namespace {

int64_t rows_of(const DataSource& source) {
  int64_t rows = 0;
  for (const std::string& file : matching_files(source.path)) {
    RowReader reader(file, object_is_row(source));
    for (RawRow row; reader.next(row);) ++rows;
  }
  return rows;
}

// So many rows for validation, in proportion to the sources' own: what is left over by rounding down goes to the
// sources that lost most.
void set_counts(std::vector<DataSource>& sources, int64_t count) {
  int64_t all = 0;
  for (DataSource& source : sources) all += source.part.rows = rows_of(source);
  if (count >= all) {
    throw DataError("data.validation_split: " + std::to_string(count) + " rows of the " + std::to_string(all) +
                    " that data.train has leave none to train on; expected fewer");
  }
  int64_t given = 0;
  std::vector<std::pair<double, DataSource*>> lost;
  for (DataSource& source : sources) {
    const double exact = static_cast<double>(count) * static_cast<double>(source.part.rows) / static_cast<double>(all);
    source.part.chosen = static_cast<int64_t>(exact);
    given += source.part.chosen;
    lost.emplace_back(static_cast<double>(source.part.chosen) - exact, &source);
  }
  std::ranges::stable_sort(lost, {}, &std::pair<double, DataSource*>::first);
  for (size_t i = 0; given < count; ++i, ++given) ++lost[i % lost.size()].second->part.chosen;
  for (DataSource& source : sources) {
    RowPart& part = source.part;
    part.share = part.rows > 0 ? static_cast<double>(part.chosen) / static_cast<double>(part.rows) : 0;
  }
}

}  // namespace

DataConfig split_off_validation(DataConfig data, uint64_t seed) {
  if (data.validation_split == 0) return data;
  for (DataSource& source : data.train) source.part = {RowPart::Use::kTraining, data.validation_split, seed};
  if (data.validation_split >= 1) set_counts(data.train, static_cast<int64_t>(data.validation_split));
  data.validation = data.train;
  for (DataSource& source : data.validation) {
    source.part.use = RowPart::Use::kValidation;
    source.weight = source.epochs = 1.0;
  }
  return data;
}

}  // namespace lora
