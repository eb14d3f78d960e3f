#pragma once
// Splits rows off for validation: data.validation_split.

#include <cstdint>

#include "lora/data/config.h"

namespace lora {

// True if the source of this part uses its row `row`, counted from 0 over all of its files. Every row is of one of the
// two parts. The rows for validation are drawn by the seed, one from each stretch of 1/share rows: they are spread over
// the whole source, and their number is within one of share · rows; with part.rows it is part.chosen exactly, and later
// rows are of training. Neither the other sources nor the options matter.
bool uses_row(const RowPart& part, int64_t row);

// The lists of sources as they are read. With validation_split they are train, twice: all rows but those that are split
// off, and those. `seed`: training.seed. A number of rows is divided among the sources in proportion to theirs, for
// which their files are read once more. Throws DataError if no row would be left to train on, and as RowReader does.
DataConfig split_off_validation(DataConfig data, uint64_t seed);

}  // namespace lora
