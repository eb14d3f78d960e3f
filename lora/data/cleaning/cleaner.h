#pragma once
// Holds rows to the rules of data.cleaning, as they are read.
//
// A row that a rule drops is not there for the rules after it (in the order of `Rule`): copies of a dropped row are
// judged for themselves, and each row dropped as a duplicate has a row that is kept. A row that is only warned of
// counts as what it is and stays. So what is left breaks no rule whose action is drop, and cleaning it again drops
// nothing. Everything is a function of the rows and their order; the number of threads does not matter.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lora/data/cleaning/pii.h"
#include "lora/data/cleaning/rules.h"
#include "lora/data/cleaning/similarity_index.h"

namespace lora {

// A row as the rules see it: what its author wrote, without a template's words.
struct CleaningRow {
  std::string_view prompt;  // empty for plain text
  std::string_view answer;  // or the label
  size_t source = 0;        // index into the list of sources
  std::string_view where;   // "file:line"
};

// A row that breaks a rule.
struct Finding {
  Rule rule;
  bool validation = false;  // which data the row is of
  int64_t row = 0;          // counted over all sources, from 0
  std::string where = {};
  int64_t other = -1;  // the earlier row, or of contamination the validation row, that it is like
  std::string other_where = {};
  double similarity = 0;    // to `other`; 1: the same
  std::string detail = {};  // "2 control characters"
};

struct SourceFindings {
  int64_t rows = 0;
  int64_t dropped = 0;      // the sum of dropped_by
  RuleCounts hits{};        // rows that break the rule; a row may break several
  RuleCounts dropped_by{};  // each dropped row once, by the first rule that says so
  PiiCounts pii{};          // rows with each kind
};

struct CleaningReport {
  std::vector<SourceFindings> train, validation;  // by source; validation is never changed
  std::vector<Finding> findings;                  // the first few of each rule and source
  SourceFindings total() const;                   // of the training data
};

// Where a cleaner's time went.
struct CleaningSeconds {
  double texts = 0;       // rules on a row by itself
  double duplicates = 0;  // rows beside other rows: exact and near duplicates, conflicts, contamination
};

class Cleaner {
 public:
  // Keeps the first `examples` findings of each rule and source.
  explicit Cleaner(const CleaningConfig& config, size_t examples = 3);

  // All of the validation rows come before the first training row: contamination looks among them.
  void validation(std::span<const CleaningRow> rows);
  // For each row whether it stays.
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
  // Where rows stand, for what is like them.
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
  // Counts a row that breaks `rule`; whether it is dropped for it.
  bool note(SourceFindings& source, Finding finding, size_t source_index);

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
  std::vector<std::array<size_t, kRules>> kept_findings_;  // of each source, training and validation
};

}  // namespace lora
