#pragma once
// Held-out rows answered by the model, so that what training did can be seen.

#include <string>
#include <vector>

#include "lora/data/format.h"
#include "lora/data/tokenizer.h"
#include "models/llama.h"

namespace lora {

struct Answers {
  std::vector<std::string> texts;  // one an example, surrounding white space removed
  int64_t exact = 0;               // of them equal to the stripped completion
};

// Greedy answers to every example's prompt, at most max_new_tokens long.
Answers answer_examples(LlamaForCausalLM& model, const Tokenizer& tokenizer, const std::vector<Example>& examples,
                        int64_t max_new_tokens);

// Without white space at either end.
std::string strip(const std::string& text);

// The text that `answer` adds to `prompt`.
std::string continuation(const Tokenizer& tokenizer, const std::vector<int64_t>& prompt,
                         const std::vector<int64_t>& answer);

// Ids that end an answer: the tokenizer's and config.json's.
std::vector<int64_t> end_ids(const LlamaForCausalLM& model, const Tokenizer& tokenizer);

}  // namespace lora
