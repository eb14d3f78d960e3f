#pragma once
// Renders a sample as text for people, for previews.

#include <string>

#include "lora/data/sample.h"

namespace lora {

// The pieces of the sample as text; special tokens appear by name. Tokens that are not trained are dim if `colour`,
// otherwise between ⟦ and ⟧. A line end shows as "↵" and a new line. Other control characters show as their Unicode
// pictures, so that data cannot control a terminal. `between` follows each token except the last, unless it would split
// a character. Of a preference pair the rejected answer is on a line of its own.
std::string render_sample(const SampleView& sample, const Tokenizer& tokenizer, bool colour,
                          const std::string& between = "");

}  // namespace lora
