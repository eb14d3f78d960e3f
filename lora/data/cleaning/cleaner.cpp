#include "lora/data/cleaning/cleaner.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "lora/data/cleaning/normalise.h"
#include "lora/data/cleaning/text_facts.h"
#include "models/base/threads.h"

namespace lora {
namespace {

std::string counted(int64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string two_digits(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2f", value);
  return buffer;
}

// Adds the seconds of its lifetime to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(sum) {}
  ~Stopwatch() { sum_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  double& sum_;
  Clock::time_point start_ = Clock::now();
};

std::string whole_text(const CleaningRow& row) {
  std::string text(row.prompt);
  if (!row.prompt.empty()) text += '\n';
  text += row.answer;
  return row.rejected ? (text += '\n').append(row.rejected->answer) : text;
}

}  // namespace

// The result of the rules on a single row.
struct Cleaner::Judged {
  std::vector<std::pair<Rule, std::string>> broken;  // each broken rule with its reason, in the order of Rule
  PiiCounts pii{};
};

// The identity of a row: hashes of its normalised text.
struct Cleaner::Known {
  Hash text{};
  uint64_t prompt = 0, answer = 0;
  bool has_prompt = false;
  std::optional<Hash> opposite;  // the text of a row that prefers what this one does not
};

Cleaner::Cleaner(const CleaningConfig& config, size_t examples)
    : config_(config),
      examples_(examples),
      shingling_{config.near_duplicates.ngram_unit == NgramUnit::kWord,
                 static_cast<size_t>(config.near_duplicates.ngram_size)},
      hasher_(choose_banding(std::min(active(Rule::kNearDuplicates) ? config.near_duplicates.threshold : 1.0,
                                      active(Rule::kContamination) ? config.contamination.threshold : 1.0),
                             config.near_duplicates.num_perm)),
      validation_index_(hasher_.banding().bands, config.contamination.threshold),
      train_index_(hasher_.banding().bands, config.near_duplicates.threshold) {}

std::vector<Cleaner::Judged> Cleaner::judge(std::span<const CleaningRow> rows) {
  const Stopwatch watch(seconds_.texts);
  std::vector<Judged> judged(rows.size());
  bool any = false;
  for (size_t rule = 0; rule <= static_cast<size_t>(Rule::kPii); ++rule) any |= active(static_cast<Rule>(rule));
  if (!any) return judged;
  const auto one = [&](const CleaningRow& row, Judged& found) {
    const auto breaks = [&](Rule rule, const std::string& detail) {
      if (active(rule)) found.broken.emplace_back(rule, detail);
    };
    const TextFacts prompt = text_facts(row.prompt), answer = text_facts(row.answer);
    const TextFacts rejected = row.rejected ? text_facts(row.rejected->answer) : TextFacts{};
    TextFacts all = prompt;
    all += answer;
    all += rejected;
    if (all.invalid > 0) breaks(Rule::kInvalidUtf8, counted(all.invalid, "broken character"));
    if (all.controls > 0) breaks(Rule::kControlCharacters, counted(all.controls, "control character"));
    if (answer.visible == 0) breaks(Rule::kEmptyAnswers, "no answer");
    if (row.rejected && answer.visible > 0 && rejected.visible == 0) breaks(Rule::kEmptyAnswers, "no rejected answer");
    if (row.rejected && row.rejected->answer == row.answer && row.rejected->prompt == row.prompt) {
      breaks(Rule::kIdenticalAnswers, "chosen and rejected are the same");
    }
    if (all.characters < config_.length.min_chars.value_or(0) ||
        all.characters > config_.length.max_chars.value_or(INT64_MAX)) {
      breaks(Rule::kLength, counted(all.characters, "character"));
    }
    if (prompt.characters > 0 && answer.characters > 0) {
      const double ratio = static_cast<double>(answer.characters) / static_cast<double>(prompt.characters);
      if (ratio < config_.answer_ratio.min_ratio.value_or(0) ||
          ratio > config_.answer_ratio.max_ratio.value_or(ratio)) {
        breaks(Rule::kAnswerRatio, "ratio " + two_digits(ratio));
      }
    }
    if (all.visible > 0) {
      const double ratio = static_cast<double>(all.visible - all.letters) / static_cast<double>(all.visible);
      if (ratio > config_.non_alphanumeric.max_ratio) breaks(Rule::kNonAlphanumeric, "ratio " + two_digits(ratio));
    }
    if (active(Rule::kPii)) {
      found.pii = count_pii(row.prompt);
      const PiiCounts in_answer = count_pii(row.answer);
      std::string kinds;
      for (size_t kind = 0; kind < found.pii.size(); ++kind) {
        found.pii[kind] += in_answer[kind];
        if (found.pii[kind] > 0) kinds += (kinds.empty() ? "" : ", ") + std::string(pii_name(static_cast<Pii>(kind)));
      }
      if (!kinds.empty()) breaks(Rule::kPii, kinds);
    }
  };
  parallel_for(static_cast<int64_t>(rows.size()), 16, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) one(rows[i], judged[i]);
  });
  return judged;
}

std::vector<Cleaner::Known> Cleaner::identify(std::span<const CleaningRow> rows) const {
  std::vector<Known> known(rows.size());
  if (!active(Rule::kContamination) && !active(Rule::kExactDuplicates) && !active(Rule::kConflictingAnswers)) {
    return known;
  }
  const auto one = [&](const CleaningRow& row, Known& found) {
    const std::string prompt_text = normalised(row.prompt), answer_text = normalised(row.answer);
    found.has_prompt = !prompt_text.empty();
    found.prompt = hash_bytes(prompt_text, 1);
    found.answer = hash_bytes(answer_text, 2);
    found.text = {found.prompt ^ hash_bytes(answer_text, 3), hash_bytes(prompt_text, 4) + found.answer};
    if (row.rejected) {
      const std::string other = normalised(row.rejected->prompt) + '\n' + normalised(row.rejected->answer);
      const std::string own = prompt_text + '\n' + answer_text;
      const auto preferred = [](const std::string& chosen, const std::string& rejected) {
        return Hash{hash_bytes(chosen, 5) ^ hash_bytes(rejected, 6), hash_bytes(chosen, 7) + hash_bytes(rejected, 8)};
      };
      found.text = preferred(own, other);
      if (own != other) found.opposite = preferred(other, own);
    } else if (row.mark) {
      found.opposite = Hash{found.text.low, found.text.high + !*row.mark};
      found.text.high += *row.mark;
    }
  };
  parallel_for(static_cast<int64_t>(rows.size()), 16, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) one(rows[i], known[i]);
  });
  return known;
}

Fingerprints Cleaner::prints_of(std::span<const CleaningRow> rows) const {
  std::vector<std::string> texts;
  texts.reserve(rows.size());
  for (const CleaningRow& row : rows) texts.push_back(whole_text(row));
  return fingerprints(texts, shingling_, hasher_);
}

void Cleaner::Places::add(std::string_view where) {
  text_ += where;
  ends_.push_back(text_.size());
}

std::string Cleaner::Places::at(int64_t row) const {
  const auto i = static_cast<size_t>(row);
  const size_t begin = i == 0 ? 0 : ends_[i - 1];
  return text_.substr(begin, ends_[i] - begin);
}

bool Cleaner::note(SourceFindings& source, const Finding& finding, size_t source_index) {
  const auto rule = static_cast<size_t>(finding.rule);
  ++source.hits[rule];
  const size_t list = 2 * source_index + finding.validation;
  if (kept_findings_.size() <= list) kept_findings_.resize(list + 1);
  if (kept_findings_[list][rule]++ < examples_) report_.findings.push_back(finding);
  if (finding.validation || action_of(config_, finding.rule) != RuleAction::kDrop) return false;
  ++source.dropped;
  ++source.dropped_by[rule];
  return true;
}

void Cleaner::validation(std::span<const CleaningRow> rows) {
  const std::vector<Judged> judged = judge(rows);
  const Stopwatch watch(seconds_.duplicates);
  const bool compared = active(Rule::kContamination);
  const std::vector<Known> known = compared ? identify(rows) : std::vector<Known>{};
  const Fingerprints prints = compared ? prints_of(rows) : Fingerprints{};
  for (size_t i = 0; i < rows.size(); ++i, ++validation_count_) {
    const CleaningRow& row = rows[i];
    if (report_.validation.size() <= row.source) report_.validation.resize(row.source + 1);
    SourceFindings& source = report_.validation[row.source];
    ++source.rows;
    for (size_t kind = 0; kind < judged[i].pii.size(); ++kind) source.pii[kind] += judged[i].pii[kind] > 0;
    for (const auto& [rule, detail] : judged[i].broken) {
      note(source,
           {.rule = rule,
            .validation = true,
            .row = validation_count_,
            .where = std::string(row.where),
            .detail = detail},
           row.source);
    }
    validation_places_.add(row.where);
    if (!compared) continue;
    validation_rows_.emplace(known[i].text, validation_count_);
    validation_index_.insert(prints, static_cast<int64_t>(i), validation_count_);
  }
}

std::vector<uint8_t> Cleaner::train(std::span<const CleaningRow> rows) {
  const std::vector<Judged> judged = judge(rows);
  const Stopwatch watch(seconds_.duplicates);
  const std::vector<Known> known = identify(rows);
  const bool near = active(Rule::kNearDuplicates), contamination = active(Rule::kContamination);
  const Fingerprints prints = near || contamination ? prints_of(rows) : Fingerprints{};
  const std::vector<Match> leaks = contamination ? validation_index_.find_all(prints) : std::vector<Match>{};
  const std::vector<Match> earlier = near ? train_index_.find_all(prints) : std::vector<Match>{};
  // Without these rules, nothing of a row is stored: there may be more rows than fit in memory.
  const bool compared = near || active(Rule::kExactDuplicates) || active(Rule::kConflictingAnswers);
  const int64_t first = train_count_;

  std::vector<uint8_t> keep(rows.size());
  for (size_t i = 0; i < rows.size(); ++i, ++train_count_) {
    const CleaningRow& row = rows[i];
    const Known& found = known[i];
    if (report_.train.size() <= row.source) report_.train.resize(row.source + 1);
    SourceFindings& source = report_.train[row.source];
    ++source.rows;
    if (compared) train_places_.add(row.where);
    for (size_t kind = 0; kind < judged[i].pii.size(); ++kind) source.pii[kind] += judged[i].pii[kind] > 0;

    const auto like = [&](Rule rule, int64_t other, double similarity, const std::string& detail) {
      Finding finding{.rule = rule, .row = train_count_, .where = std::string(row.where), .other = other};
      if (other >= 0)
        finding.other_where = (rule == Rule::kContamination ? validation_places_ : train_places_).at(other);
      finding.similarity = similarity;
      finding.detail = detail;
      return note(source, finding, row.source);
    };
    bool dropped = false;
    for (const auto& [rule, detail] : judged[i].broken) {
      if (!dropped) dropped = like(rule, -1, 0, detail);
    }
    if (!dropped && contamination) {
      const auto leaked = validation_rows_.find(found.text);
      if (leaked != validation_rows_.end()) {
        dropped = like(Rule::kContamination, leaked->second, 1, "the same");
      } else if (leaks[i].id >= 0) {
        dropped =
            like(Rule::kContamination, leaks[i].id, leaks[i].similarity, two_digits(leaks[i].similarity) + " similar");
      }
    }
    const auto same = active(Rule::kExactDuplicates) ? train_rows_.find(found.text) : train_rows_.end();
    const bool repeated = same != train_rows_.end();
    if (!dropped && repeated) dropped = like(Rule::kExactDuplicates, same->second, 1, "the same");
    const bool conflicting = active(Rule::kConflictingAnswers), prompted = found.has_prompt && conflicting;
    // Rows of preferences may well have an earlier row's prompt: they conflict where they prefer the opposite.
    if (!dropped && !repeated && conflicting && found.opposite) {
      const auto seen = train_rows_.find(*found.opposite);
      if (seen != train_rows_.end()) {
        dropped = like(Rule::kConflictingAnswers, seen->second, 0, "another preference");
      }
    } else if (!dropped && !repeated && prompted) {
      const auto seen = prompts_.find(found.prompt);
      if (seen != prompts_.end() && seen->second.answer != found.answer) {
        dropped = like(Rule::kConflictingAnswers, seen->second.row, 0, "another answer");
      }
    }
    Match match;
    if (!dropped && !repeated && near) {
      match = earlier[i].id >= 0 ? earlier[i] : train_index_.find(prints, static_cast<int64_t>(i), first);
      if (match.id >= 0) {
        dropped = like(Rule::kNearDuplicates, match.id, match.similarity, two_digits(match.similarity) + " similar");
      }
    }
    if (!dropped && !repeated) {
      if (active(Rule::kExactDuplicates) || found.opposite) train_rows_.emplace(found.text, train_count_);
      if (prompted) prompts_.emplace(found.prompt, PromptSeen{train_count_, found.answer});
      if (near && match.id < 0) train_index_.insert(prints, static_cast<int64_t>(i), train_count_);
    }
    keep[i] = !dropped;
  }
  return keep;
}

SourceFindings CleaningReport::total() const {
  SourceFindings all;
  for (const SourceFindings& source : train) {
    all.rows += source.rows;
    all.dropped += source.dropped;
    for (size_t rule = 0; rule < kRules; ++rule) {
      all.hits[rule] += source.hits[rule];
      all.dropped_by[rule] += source.dropped_by[rule];
    }
    for (size_t kind = 0; kind < all.pii.size(); ++kind) all.pii[kind] += source.pii[kind];
  }
  return all;
}

}  // namespace lora
