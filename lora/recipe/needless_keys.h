#pragma once
// Settings of other trainers that a recipe does without.

#include <string>

namespace lora {

// Why a recipe has no such key and needs none: "every step is logged, to metrics.jsonl and report.html". Empty for any
// other name.
std::string needless_reason(const std::string& key);

}  // namespace lora
