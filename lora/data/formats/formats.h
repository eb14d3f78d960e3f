#pragma once
// The makers that format.cpp registers; one file each.

#include "lora/data/format.h"

namespace lora {

// Stanford Alpaca's two templates (github.com/tatsu-lab/stanford_alpaca, "Data Release"): with and without an input.
Example make_alpaca(const DataRow& row);

// The columns as they are.
Example make_completion(const DataRow& row);

// The text to classify as the prompt, and its label, which may not be empty.
Example make_classification(const DataRow& row);

// No prompt: the whole text is trained on.
Example make_text(const DataRow& row);

}  // namespace lora
