#pragma once
// Studies a recipe's data as training would see it: reads, cleans, tokenises and mixes it, and collects statistics.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lora/app/data/recipe_data.h"
#include "lora/data/cleaning/cleaner.h"
#include "lora/data/load.h"
#include "lora/data/mixing.h"
#include "lora/data/tokenizer.h"
#include "lora/recipe/recipe.h"
#include "lora/terminal/histogram.h"
#include "lora/terminal/table.h"

namespace lora {

struct SourceStudy {
  std::string path, format;
  bool validation = false;
  SourceCounts counts;
  std::string unread;   // the columns that are not read
  std::string spelled;  // the special tokens whose names are text in the rows
  SourceFindings findings;
  Histogram lengths;     // tokens per sample
  Histogram supervised;  // share of trained tokens per sample
  int64_t median = 0, p95 = 0, longest = 0;
};

// The text of a row to show.
struct RowText {
  std::string prompt, answer;
};

// The time of each part.
struct StudySeconds {
  double encoding = 0;  // reading and tokenising
  CleaningSeconds cleaning;
  double figures = 0;  // histograms, and the texts of the rows to show
};

struct DataStudy {
  Recipe recipe;
  std::vector<SourceStudy> sources;  // training sources, then validation sources
  CleaningReport cleaning;           // with all findings
  Histogram similarities;            // of near duplicates and contamination
  std::vector<Mixture::Share> shares;
  bool mixed = false;      // true: the shares are those of a mixture; false: those of the data as it is
  int64_t epoch_rows = 0;  // sequences per epoch
  double fill = 0;         // tokens divided by the capacity of these sequences
  // (validation, row) -> text of the row: the first `shown` findings of each rule, and the rows that they resemble.
  std::map<std::pair<bool, int64_t>, RowText> texts;
  StudySeconds seconds;
};

inline constexpr size_t kShownFindings = 5;

// The caller owns the datasets. `busy` tells how far it is. Throws the errors of load_dataset.
struct StudiedData {
  DataStudy study;
  LoadedDataset train, validation;
  LabelNames labels = {};  // of a classifier
};
StudiedData study_data(const Recipe& recipe, const Tokenizer& tokenizer, Busy& busy);

// A row a source below the titles, in the order of study.sources, with its name first. Columns that are empty for all
// sources are omitted, except the main ones.
TextTable studied_sources(const DataStudy& study);

// The study as text: sources, shares, rules with examples, lengths.
std::string data_report(const DataStudy& study);

// One line of JSON per finding, all in order.
std::string findings_jsonl(const CleaningReport& report);

}  // namespace lora
