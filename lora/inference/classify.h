#pragma once
// Texts and what a classifier makes of them.

#include <string>
#include <vector>

#include "lora/data/tokenizer.h"
#include "models/network/decoder.h"

namespace lora {

struct Classification {
  int64_t label;       // a row of the head: config().labels has its name
  double probability;  // of that label, by softmax over all
};

// The likeliest label of each text, in order, tokenised as in training (sample.h). Texts share passes of some 512
// tokens. Throws DataError for a text without a token.
std::vector<Classification> classify(LlamaForCausalLM& model, const Tokenizer& tokenizer,
                                     const std::vector<std::string>& texts, int64_t max_length);

}  // namespace lora
