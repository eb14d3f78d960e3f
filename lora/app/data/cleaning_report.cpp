#include "lora/app/data/cleaning_report.h"

#include "lora/terminal/table.h"
#include "lora/terminal/text.h"

namespace lora {
namespace {

// "the same as a.jsonl:3"
std::string compared(const Finding& finding) {
  const char* word = finding.rule == Rule::kConflictingAnswers ? " than " : finding.similarity == 1 ? " as " : " to ";
  return finding.detail + word + finding.other_where;
}

std::string rows_of(int64_t count) { return with_commas(count) + (count == 1 ? " row" : " rows"); }

}  // namespace

std::string cleaning_line(const CleaningReport& report, const CleaningConfig& config) {
  const SourceFindings total = report.total();
  std::string dropped, kept;
  for (size_t i = 0; i < kRules; ++i) {
    const auto rule = static_cast<Rule>(i);
    const auto add = [&](std::string& list, int64_t count) {
      if (count > 0) list += (list.empty() ? "" : ", ") + std::string(info(rule).key) + " " + with_commas(count);
    };
    add(dropped, total.dropped_by[i]);
    if (action_of(config, rule) == RuleAction::kWarn) add(kept, total.hits[i]);
  }
  std::string line;
  if (!dropped.empty()) line += rows_of(total.dropped) + " dropped (" + dropped + ")";
  if (!kept.empty()) line += (line.empty() ? "" : "; ") + std::string("kept, but look at them: ") + kept;
  return line;
}

std::string rules_table(const CleaningReport& report, const CleaningConfig& config, size_t examples) {
  const SourceFindings total = report.total();
  std::vector<std::vector<std::string>> rows = {{"rule", "action", "rows", "dropped", ""}};
  std::string below;
  for (size_t i = 0; i < kRules; ++i) {
    const auto rule = static_cast<Rule>(i);
    const RuleAction action = action_of(config, rule);
    const bool off = action == RuleAction::kOff;
    rows.push_back({info(rule).key, name_of(action), off ? "-" : with_commas(total.hits[i]),
                    off ? "-" : with_commas(total.dropped_by[i]), info(rule).description});
    size_t shown = 0;
    for (const Finding& finding : report.findings) {
      if (finding.rule != rule || shown == examples) continue;
      if (shown++ == 0) below += "\n  " + std::string(info(rule).key) + "\n";
      below += indented(finding.where + (finding.validation ? " (validation)" : "") + ": " +
                            (finding.other >= 0 ? compared(finding) : finding.detail),
                        4);
    }
  }
  return table(rows, {false, false, true, true, false}) + below;
}

std::vector<std::string> cleaning_warnings(const CleaningReport& report, const CleaningConfig& config) {
  constexpr auto kRule = static_cast<size_t>(Rule::kContamination);
  const int64_t kept = report.total().hits[kRule];
  if (kept == 0 || action_of(config, Rule::kContamination) != RuleAction::kWarn) return {};
  std::string first;
  for (const Finding& finding : report.findings) {
    if (finding.rule != Rule::kContamination) continue;
    first = " (" + finding.where + " is " + compared(finding) + ")";
    break;
  }
  return {rows_of(kept) + " of the training data also " + (kept == 1 ? "stands" : "stand") + " in the validation data" +
          first +
          "; the validation loss will look better than it is. data.cleaning.contamination: drop leaves them out"};
}

}  // namespace lora
