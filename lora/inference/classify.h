#pragma once
// Predicts labels of texts with a classifier.

#include <string>
#include <vector>

#include "lora/data/tokenizer.h"
#include "models/network/decoder.h"

namespace lora {

struct Classification {
  int64_t label;       // a row of the head; config().labels has its name
  double probability;  // softmax over all labels; of a reward model, which has one output, the reward
};

// The most likely label of each text, in order. Tokenised as in training (sample.h). One pass holds texts of about 512
// tokens in total, without padding: of BatchDecoder, or where it has a problem() with the model, of the network. Throws
// DataError for a text without tokens.
std::vector<Classification> classify(LlamaForCausalLM& model, const Tokenizer& tokenizer,
                                     const std::vector<std::string>& texts, int64_t max_length);
// The same by the network's own forward pass: the reference.
std::vector<Classification> classify_plainly(LlamaForCausalLM& model, const Tokenizer& tokenizer,
                                             const std::vector<std::string>& texts, int64_t max_length);

}  // namespace lora
