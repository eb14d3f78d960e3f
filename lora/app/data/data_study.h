#pragma once
// A recipe's data as training would see them: read, cleaned, tokenised and mixed, and what there is to say of it.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lora/data/cleaning/cleaner.h"
#include "lora/data/load.h"
#include "lora/data/mixing.h"
#include "lora/data/tokenizer.h"
#include "lora/recipe/recipe.h"
#include "lora/terminal/histogram.h"

namespace lora {

struct SourceStudy {
  std::string path, format;
  bool validation = false;
  SourceCounts counts;
  SourceFindings findings;
  Histogram lengths;     // of samples, in tokens
  Histogram supervised;  // share of a sample's tokens that are trained
  int64_t median = 0, p95 = 0, longest = 0;
};

// A row's text, for showing it.
struct RowText {
  std::string prompt, answer;
};

// Where the time went.
struct StudySeconds {
  double encoding = 0;  // reading and tokenising
  CleaningSeconds cleaning;
  double figures = 0;  // histograms, and the texts of the rows that are shown
};

struct DataStudy {
  Recipe recipe;
  std::vector<SourceStudy> sources;  // training, then validation
  CleaningReport cleaning;           // with all findings
  Histogram similarities;            // of near duplicates and contamination
  std::vector<Mixture::Share> shares;
  bool mixed = false;      // the shares are of a mixture and not just of what there is
  int64_t epoch_rows = 0;  // sequences an epoch
  double fill = 0;         // tokens over what these sequences could hold
  // (validation, row) -> its text: of the first `shown` findings of each rule and what they are like.
  std::map<std::pair<bool, int64_t>, RowText> texts;
  StudySeconds seconds;
};

inline constexpr size_t kShownFindings = 5;

// The datasets stay with the caller. Errors as load_dataset's.
struct StudiedData {
  DataStudy study;
  LoadedDataset train, validation;
};
StudiedData study_data(const Recipe& recipe, const Tokenizer& tokenizer);

// What is said of a source beside its name. Columns that are empty for all of them are left out, but for the main ones.
struct SourceColumn {
  const char* title;
  std::string (*value)(const SourceStudy& source);
};
std::vector<SourceColumn> source_columns(const DataStudy& study);

// The study as text: sources, shares, rules with examples, lengths.
std::string data_report(const DataStudy& study);

// A line of JSON a finding, all of them in order.
std::string findings_jsonl(const CleaningReport& report);

}  // namespace lora
