#pragma once
// What became of the rows of a data set while they were made into samples: nothing is left out without being counted.

#include <cstdint>

namespace lora {

// Of a source, or of a whole data set: counts of parts add up. Every row read is unreadable, filtered, too long,
// untrained, or made one or more samples.
struct SourceCounts {
  int64_t rows = 0;              // read
  int64_t unreadable = 0;        // passed over, as data.on_error says
  int64_t filtered = 0;          // left out by the filter
  int64_t too_long = 0;          // left out: longer than max_length, as data.overlong says
  int64_t untrained = 0;         // left out: no token of theirs is trained
  int64_t untrained_by_cut = 0;  // of these, those whose trained tokens lay beyond max_length
  int64_t cut = 0;               // rows whose end was cut off at max_length, of those kept
  int64_t split = 0;             // rows longer than max_length that became several samples
  int64_t answers = 0;           // rows kept with a prompt and an answer to it, which has to end somewhere
  int64_t ended = 0;             // of these, those with a trained EOS or end of turn
  int64_t samples = 0;
  int64_t tokens = 0, supervised = 0;  // of these samples
  SourceCounts& operator+=(const SourceCounts& other);
  bool operator==(const SourceCounts&) const = default;
};

// Throws DataError, saying why, where rows were given and nothing is left to train on, or where there are answers and
// the end of none of them is trained: a model that is trained so never stops. `labelled`: rows have labels.
void expect_trainable(const SourceCounts& counts, int64_t max_length, bool labelled);

}  // namespace lora
