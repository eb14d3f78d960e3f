#include "lora/data/cleaning/rules.h"

namespace lora {
namespace {

RuleAction configured_action(const CleaningConfig& config, Rule rule) {
  switch (rule) {
    case Rule::kInvalidUtf8:
      return config.invalid_utf8;
    case Rule::kControlCharacters:
      return config.control_characters;
    case Rule::kEmptyAnswers:
      return config.empty_answers;
    case Rule::kIdenticalAnswers:
      return config.identical_answers;
    case Rule::kLength:
      return config.length.action;
    case Rule::kAnswerRatio:
      return config.answer_ratio.action;
    case Rule::kNonAlphanumeric:
      return config.non_alphanumeric.action;
    case Rule::kPii:
      return config.pii;
    case Rule::kContamination:
      return config.contamination.action;
    case Rule::kExactDuplicates:
      return config.exact_duplicates;
    case Rule::kConflictingAnswers:
      return config.conflicting_answers;
    default:
      return config.near_duplicates.action;
  }
}

}  // namespace

const RuleInfo& info(Rule rule) {
  static constexpr std::array<RuleInfo, kRules> kInfos = {{
      {"invalid_utf8", "hold bytes that are not UTF-8, or U+FFFD in their place"},
      {"control_characters", "hold control characters"},
      {"empty_answers", "have no answer"},
      {"identical_answers", "prefer an answer to the same one"},
      {"length", "are shorter or longer than the bounds"},
      {"answer_ratio", "have an answer too short or long for its prompt"},
      {"non_alphanumeric", "are mostly neither letters nor digits"},
      {"pii", "look like holding personal data or secrets"},
      {"contamination", "also stand in the validation data"},
      {"exact_duplicates", "repeat an earlier row"},
      {"conflicting_answers", "answer an earlier row's prompt otherwise, or prefer what an earlier row does not"},
      {"near_duplicates", "nearly repeat an earlier row"},
  }};
  return kInfos[static_cast<size_t>(rule)];
}

RuleAction action_of(const CleaningConfig& config, Rule rule) {
  const bool no_length = rule == Rule::kLength && !config.length.min_chars && !config.length.max_chars;
  const bool no_ratio = rule == Rule::kAnswerRatio && !config.answer_ratio.min_ratio && !config.answer_ratio.max_ratio;
  if (no_length || no_ratio) return RuleAction::kOff;
  return configured_action(config, rule);
}

}  // namespace lora
