#pragma once
// Applies the rules of data.cleaning to rows as they are read.
//
// Rules run in the order of `Rule`. A row that one rule drops is invisible to later rules: copies of a dropped row are
// judged on their own, and every row dropped as a duplicate has a kept original. A row with only a warning stays and
// counts. So the kept rows break no rule whose action is drop, and a second cleaning drops nothing. The result depends
// only on the rows and their order, not on the number of threads.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lora/data/cleaning/pii.h"
#include "lora/data/cleaning/rules.h"
#include "lora/data/cleaning/similarity_index.h"

namespace lora {

// A row as the rules see it: the author's text, without the template's text.
struct CleaningRow {
  std::string_view prompt;  // empty for plain text
  std::string_view answer;  // or the label
  // What objectives on preferences learn besides: the other text of a pair, or whether the answer is one to learn.
  struct Other {
    std::string_view prompt, answer;
  };
  std::optional<Other> rejected = {};
  std::optional<bool> mark = {};
  size_t source = 0;            // index into the list of sources
  std::string_view where = {};  // "file:line"
};

// A row that breaks a rule.
struct Finding {
  Rule rule;
  bool validation = false;  // true: a row of the validation data
  int64_t row = 0;          // index over all sources, from 0
  std::string where = {};
  int64_t other = -1;  // the earlier row, or for contamination the validation row, that it resembles
  std::string other_where = {};
  double similarity = 0;    // to `other`; 1: identical
  std::string detail = {};  // "2 control characters"
};

struct SourceFindings {
  int64_t rows = 0;
  int64_t dropped = 0;      // sum of dropped_by
  RuleCounts hits{};        // rows that break the rule; a row may break several
  RuleCounts dropped_by{};  // each dropped row once, under the first rule that drops it
  PiiCounts pii{};          // rows with each kind of personal data
};

struct CleaningReport {
  std::vector<SourceFindings> train, validation;  // per source; validation rows are never dropped
  std::vector<Finding> findings;                  // the first few of each rule and source
  SourceFindings total() const;                   // of the training data
};

// The time that a cleaner spent.
struct CleaningSeconds {
  double texts = 0;       // rules on a single row
  double duplicates = 0;  // comparisons between rows: exact and near duplicates, conflicts, contamination
};

class Cleaner {
 public:
  // Keeps the first `examples` findings of each rule and source.
  explicit Cleaner(const CleaningConfig& config, size_t examples = 3);

  // Call this with all validation rows before the first call of train(): contamination compares with them.
  void validation(std::span<const CleaningRow> rows);
  // Returns for each row whether it is kept.
  std::vector<uint8_t> train(std::span<const CleaningRow> rows);

  const CleaningReport& report() const { return report_; }
  const CleaningSeconds& seconds() const { return seconds_; }

 private:
  struct Judged;
  struct Known;
  struct Place;  // of a row
  struct Hash {
    uint64_t low, high;
    bool operator==(const Hash&) const = default;
  };
  struct HashOfHash {
    size_t operator()(const Hash& hash) const { return hash.low; }
  };
  // Positions of rows, for the reports of similar rows.
  class Places {
   public:
    void add(std::string_view where);
    std::string at(int64_t row) const;

   private:
    std::string text_;
    std::vector<uint64_t> ends_;
  };

  std::vector<Judged> judge(std::span<const CleaningRow> rows);
  std::vector<Known> identify(std::span<const CleaningRow> rows) const;
  Fingerprints prints_of(std::span<const CleaningRow> rows) const;
  bool active(Rule rule) const { return action_of(config_, rule) != RuleAction::kOff; }
  // Counts a row that breaks `rule`. Returns true if the row is dropped for it.
  bool note(SourceFindings& source, const Finding& finding, size_t source_index);

  CleaningConfig config_;
  size_t examples_;
  Shingling shingling_;
  BandHasher hasher_;
  SimilarityIndex validation_index_, train_index_;
  std::unordered_map<Hash, int64_t, HashOfHash> validation_rows_, train_rows_;
  struct PromptSeen {
    int64_t row;
    uint64_t answer;
  };
  std::unordered_map<uint64_t, PromptSeen> prompts_;
  Places validation_places_, train_places_;
  int64_t validation_count_ = 0, train_count_ = 0;
  CleaningReport report_;
  CleaningSeconds seconds_;
  std::vector<std::array<size_t, kRules>> kept_findings_;  // per source, training and validation
};

}  // namespace lora
