#pragma once
// Lets the model answer held-out rows, to show the effect of training.

#include <functional>
#include <string>
#include <vector>

#include "lora/data/config.h"
#include "lora/data/tokenizer.h"
#include "models/network/decoder.h"

namespace lora {

struct Answers {
  std::vector<std::string> texts;  // one per question, without surrounding white space
  int64_t exact = 0;               // number of texts equal to the stripped completion
};

// A row to answer.
struct Question {
  std::vector<int64_t> prompt;
  std::string text, expected;  // prompt and expected answer as text
};

// The first `most` rows of the sources. Each source's options build the prompts. Throws the errors of load_dataset.
std::vector<Question> load_questions(const DataConfig& data, const std::vector<DataSource>& sources,
                                     const Tokenizer& tokenizer, int64_t most);

// The tokens that end an answer to these sources: those of end_ids below, and the end-of-turn tokens of their chat
// templates.
std::vector<int64_t> end_ids(const LlamaForCausalLM& model, const Tokenizer& tokenizer, const DataConfig& data,
                             const std::vector<DataSource>& sources);

// Answers every question greedily with at most max_new_tokens tokens. `on_answer`: called as each answer ends, with
// their number so far.
Answers answer_questions(LlamaForCausalLM& model, const Tokenizer& tokenizer, const std::vector<Question>& questions,
                         const std::vector<int64_t>& ends, int64_t max_new_tokens,
                         const std::function<void(int64_t answered)>& on_answer = {});

// Removes white space at both ends.
std::string strip(const std::string& text);

// The text that the tokens of `answer` add to `prompt`.
std::string continuation(const Tokenizer& tokenizer, const std::vector<int64_t>& prompt,
                         const std::vector<int64_t>& answer);

// The end-of-sequence ids of the tokenizer, of config.json, and of generation_config.json in the tokenizer's directory.
std::vector<int64_t> end_ids(const LlamaForCausalLM& model, const Tokenizer& tokenizer);

}  // namespace lora
