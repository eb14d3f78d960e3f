#pragma once
// The rules of data.cleaning, with their keys in the recipe.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "lora/data/cleaning/config.h"

namespace lora {

enum class Rule : uint8_t {
  kInvalidUtf8,
  kControlCharacters,
  kEmptyAnswers,
  kIdenticalAnswers,
  kLength,
  kAnswerRatio,
  kNonAlphanumeric,
  kPii,
  kContamination,
  kExactDuplicates,
  kConflictingAnswers,
  kNearDuplicates,
  kCount
};
inline constexpr size_t kRules = static_cast<size_t>(Rule::kCount);
using RuleCounts = std::array<int64_t, kRules>;

struct RuleInfo {
  const char* key;          // in the recipe
  const char* description;  // completes "3 rows …" for rows that break it: "3 rows have no answer"
};
const RuleInfo& info(Rule rule);

// The rule's action in the recipe. Off also if the rule has no bounds to check.
RuleAction action_of(const CleaningConfig& config, Rule rule);

}  // namespace lora
