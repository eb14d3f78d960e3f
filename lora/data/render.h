#pragma once
// A sample as a person reads it, for previews.

#include <string>

#include "lora/data/sample.h"

namespace lora {

// The pieces of the sample as text, special tokens by name. Tokens that are not trained are dim where `colour`, and
// between ⟦ and ⟧ otherwise. A line end shows as "↵" and a new line; other control characters show as their Unicode
// pictures, so that data cannot steer a terminal. `between` stands after each token but the last, where it splits no
// character.
std::string render_sample(const SampleView& sample, const Tokenizer& tokenizer, bool colour,
                          const std::string& between = "");

}  // namespace lora
