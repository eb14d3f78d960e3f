#pragma once
// The rules of data.cleaning, by their keys there.

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
  const char* description;  // of the rows that break it: "3 rows have no answer"
};
const RuleInfo& info(Rule rule);

// What the recipe says of a rule; kOff also for a rule of bounds without one.
RuleAction action_of(const CleaningConfig& config, Rule rule);

}  // namespace lora
