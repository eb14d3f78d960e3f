#include "lora/run/exact_match.h"

#include <algorithm>

#include "lora/data/sample.h"
#include "models/generation.h"

namespace lora {
namespace {

// Enough to fill a pass, few enough that the cache of a large model stays small.
constexpr size_t kPromptsAtOnce = 32;

}  // namespace

std::string strip(const std::string& text) {
  const char* space = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(space);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

std::string continuation(const Tokenizer& tokenizer, const std::vector<int64_t>& prompt,
                         const std::vector<int64_t>& answer) {
  // Decoded together and cut: alone, the answer would lose its leading space.
  std::vector<int64_t> all = prompt;
  all.insert(all.end(), answer.begin(), answer.end());
  const std::string before = tokenizer.decode(prompt), whole = tokenizer.decode(all);
  return whole.substr(std::min(before.size(), whole.size()));
}

std::vector<int64_t> end_ids(const LlamaForCausalLM& model, const Tokenizer& tokenizer) {
  std::vector<int64_t> ids = model.config().eos_token_ids;
  if (tokenizer.eos_id()) ids.push_back(*tokenizer.eos_id());
  return ids;
}

Answers answer_examples(LlamaForCausalLM& model, const Tokenizer& tokenizer, const std::vector<Example>& examples,
                        int64_t max_new_tokens) {
  GenerationConfig config;
  config.max_new_tokens = max_new_tokens;
  config.eos_ids = end_ids(model, tokenizer);
  const bool training = model.is_training();
  model.eval();
  Answers answers;
  for (size_t begin = 0; begin < examples.size(); begin += kPromptsAtOnce) {
    const size_t end = std::min(examples.size(), begin + kPromptsAtOnce);
    std::vector<std::vector<int64_t>> prompts;
    for (size_t i = begin; i < end; ++i) prompts.push_back(encode_prompt(tokenizer, examples[i].prompt));
    const auto tokens = generate(model, prompts, config);
    for (size_t i = begin; i < end; ++i) {
      const std::string text = strip(continuation(tokenizer, prompts[i - begin], tokens[i - begin]));
      answers.exact += text == strip(examples[i].completion);
      answers.texts.push_back(text);
    }
  }
  model.train(training);
  return answers;
}

}  // namespace lora
