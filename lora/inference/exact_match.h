#pragma once
// Held-out rows answered by the model, so that what training did can be seen.

#include <string>
#include <vector>

#include "lora/data/config.h"
#include "lora/data/tokenizer.h"
#include "models/network/decoder.h"

namespace lora {

struct Answers {
  std::vector<std::string> texts;  // one an example, surrounding white space removed
  int64_t exact = 0;               // of them equal to the stripped completion
};

// A row to answer.
struct Question {
  std::vector<int64_t> prompt;
  std::string text, wanted;  // the prompt and the answer for a person
};

// The first `most` rows of the sources, each as its source's options make its prompt. Errors as load_dataset's.
std::vector<Question> load_questions(const DataConfig& data, const std::vector<DataSource>& sources,
                                     const Tokenizer& tokenizer, int64_t most);

// What ends the answers to rows of these sources: end_ids, and the ends of turns of their chat templates.
std::vector<int64_t> end_ids(const LlamaForCausalLM& model, const Tokenizer& tokenizer, const DataConfig& data,
                             const std::vector<DataSource>& sources);

// Greedy answers to every question, at most max_new_tokens long.
Answers answer_questions(LlamaForCausalLM& model, const Tokenizer& tokenizer, const std::vector<Question>& questions,
                         const std::vector<int64_t>& ends, int64_t max_new_tokens);

// Without white space at either end.
std::string strip(const std::string& text);

// The text that `answer` adds to `prompt`.
std::string continuation(const Tokenizer& tokenizer, const std::vector<int64_t>& prompt,
                         const std::vector<int64_t>& answer);

// Ids that end an answer: the tokenizer's, config.json's and those of the generation_config.json beside the tokenizer.
std::vector<int64_t> end_ids(const LlamaForCausalLM& model, const Tokenizer& tokenizer);

}  // namespace lora
