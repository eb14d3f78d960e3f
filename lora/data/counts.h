#pragma once
// Counts what happened to the rows of a dataset. Every omitted row is counted.

#include <cstdint>

namespace lora {

// The counts of a source or of a whole dataset; counts of parts add up. Every row read is either unreadable, filtered,
// too long, untrained, or became one or more samples.
struct SourceCounts {
  int64_t rows = 0;        // read
  int64_t unreadable = 0;  // skipped, as data.on_error says
  int64_t filtered = 0;    // dropped by the filter
  int64_t too_long = 0;    // dropped: longer than max_length, with data.overlong `drop`, or answers alone that are
  int64_t untrained = 0;   // dropped: no trained token
  // Of these, the rows
  int64_t untrained_by_cut = 0;     // whose trained tokens were beyond max_length
  int64_t untrained_by_label = 0;   // whose label is false
  int64_t untrained_no_answer = 0;  // without an answer that is trained
  int64_t cut = 0;                  // kept rows that were truncated at max_length
  int64_t split = 0;                // rows longer than max_length that became several samples
  int64_t answers = 0;              // kept rows with a prompt and an answer, which needs an end
  int64_t ended = 0;                // of these: with a trained EOS or end of turn
  int64_t only_end = 0;             // of these: with no other trained token
  int64_t samples = 0;
  int64_t tokens = 0, supervised = 0;  // of these samples
  // Of kept rows, what is nowhere in the text that the chat template makes of them:
  int64_t lost_tools = 0;      // rows whose `tools`
  int64_t lost_calls = 0;      // messages whose `tool_calls`
  int64_t lost_content = 0;    // messages whose content, apart from reasoning
  int64_t lost_reasoning = 0;  // trained answers whose reasoning
  int64_t open_answers = 0;    // trained answers with no trained end of the turn, before other messages
  SourceCounts& operator+=(const SourceCounts& other);
  bool operator==(const SourceCounts&) const = default;
};

// Throws DataError with the reason if there were rows but no samples, or if no answer has a trained end: such a model
// never stops. `labelled`: rows have labels.
void expect_trainable(const SourceCounts& counts, int64_t max_length, bool labelled);

}  // namespace lora
