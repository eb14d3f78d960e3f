#pragma once
// The rules for rows, and the action for a row that breaks one: a recipe's `data.cleaning`.

#include <cstdint>
#include <optional>

#include "models/base/names.h"

namespace lora {

// kOff: the rule is not applied. kWarn: rows that break it are counted, shown and kept. kDrop: they are counted, shown
// and left out of training.
enum class RuleAction : uint8_t { kOff, kWarn, kDrop };
inline const Names& names_of(RuleAction) {
  static const Names names = {
      {"off", "warn", "drop"},
      {{"false", "off"}, {"none", "off"}, {"true", "warn"}, {"count", "warn"}, {"remove", "drop"}, {"filter", "drop"}}};
  return names;
}

enum class NgramUnit { kChar, kWord };
inline const Names& names_of(NgramUnit) {
  static const Names names = {{"char", "word"}, {{"character", "char"}, {"chars", "char"}, {"words", "word"}}};
  return names;
}

struct NearDuplicatesConfig {
  RuleAction action = RuleAction::kWarn;
  double threshold = 0.8;  // minimum Jaccard similarity of the n-grams of near duplicates
  NgramUnit ngram_unit = NgramUnit::kChar;
  int64_t ngram_size = 5;
  int64_t num_perm = 128;  // hash functions per MinHash signature
  bool operator==(const NearDuplicatesConfig&) const = default;
};

struct ContaminationConfig {
  RuleAction action = RuleAction::kWarn;
  double threshold = 0.8;  // as in near_duplicates, whose n-grams and permutations are used
  bool operator==(const ContaminationConfig&) const = default;
};

// Bounds of a row's prompt and answer together, in characters. Without a bound the rule is off.
struct LengthBoundsConfig {
  RuleAction action = RuleAction::kWarn;
  std::optional<int64_t> min_chars, max_chars;
  bool operator==(const LengthBoundsConfig&) const = default;
};

// Bounds of the answer's characters over the prompt's, for rows that have both.
struct AnswerRatioConfig {
  RuleAction action = RuleAction::kWarn;
  std::optional<double> min_ratio, max_ratio;
  bool operator==(const AnswerRatioConfig&) const = default;
};

struct NonAlphanumericConfig {
  RuleAction action = RuleAction::kWarn;
  double max_ratio = 0.5;  // of the characters that are not white space
  bool operator==(const NonAlphanumericConfig&) const = default;
};

struct CleaningConfig {
  RuleAction exact_duplicates = RuleAction::kWarn;
  NearDuplicatesConfig near_duplicates;
  ContaminationConfig contamination;
  RuleAction conflicting_answers = RuleAction::kWarn;
  RuleAction empty_answers = RuleAction::kWarn;
  RuleAction identical_answers = RuleAction::kDrop;  // of a preference pair
  LengthBoundsConfig length;
  AnswerRatioConfig answer_ratio;
  RuleAction invalid_utf8 = RuleAction::kWarn;
  RuleAction control_characters = RuleAction::kWarn;
  NonAlphanumericConfig non_alphanumeric;
  RuleAction pii = RuleAction::kWarn;
  bool operator==(const CleaningConfig&) const = default;
};

}  // namespace lora
