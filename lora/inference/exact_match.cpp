#include "lora/inference/exact_match.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lora/data/encode_options.h"
#include "lora/data/examples.h"
#include "lora/data/whole_sample.h"
#include "lora/inference/generation.h"
#include "models/base/error.h"
#include "models/base/json.h"
#include "models/base/read_file.h"

namespace lora {

std::string strip(const std::string& text) {
  const char* space = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(space);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

std::string continuation(const Tokenizer& tokenizer, const std::vector<int64_t>& prompt,
                         const std::vector<int64_t>& answer) {
  // Decodes prompt and answer together and cuts the prompt off: alone, the answer would lose its leading space.
  std::vector<int64_t> all = prompt;
  all.insert(all.end(), answer.begin(), answer.end());
  const std::string before = tokenizer.decode(prompt), whole = tokenizer.decode(all);
  return whole.substr(std::min(before.size(), whole.size()));
}

std::vector<int64_t> end_ids(const LlamaForCausalLM& model, const Tokenizer& tokenizer) {
  std::vector<int64_t> ids = model.config().eos_token_ids;
  if (tokenizer.eos_id()) ids.push_back(*tokenizer.eos_id());
  if (tokenizer.files().empty()) return ids;
  const auto path = tokenizer.files().front().parent_path() / "generation_config.json";
  if (!std::filesystem::exists(path)) return ids;
  const auto config = parse_json_or_discard<nlohmann::json>(read_file(path));
  if (!config.is_object()) throw ModelError(path.string() + ": not a JSON object");
  const nlohmann::json eos = config.value("eos_token_id", nlohmann::json());
  for (const auto& id : eos.is_array() ? eos : nlohmann::json::array({eos})) {
    if (id.is_number_integer()) {
      ids.push_back(integer_of(id));
    } else if (!id.is_null()) {
      throw ModelError(path.string() + ": 'eos_token_id' is " + eos.dump() + ", expected an id or a list of ids");
    }
  }
  return ids;
}

std::vector<int64_t> end_ids(const LlamaForCausalLM& model, const Tokenizer& tokenizer, const DataConfig& data,
                             const std::vector<DataSource>& sources) {
  std::vector<int64_t> ids = end_ids(model, tokenizer);
  for (const DataSource& source : sources) {
    const EncodeOptions options = encode_options(data, source, tokenizer, 2);
    if (!options.chat) continue;
    const std::vector<int64_t> ends = end_of_turn_ids(tokenizer, *options.chat);
    ids.insert(ids.end(), ends.begin(), ends.end());
  }
  return ids;
}

std::vector<Question> load_questions(const DataConfig& data, const std::vector<DataSource>& sources,
                                     const Tokenizer& tokenizer, int64_t most) {
  std::vector<Question> questions;
  BadRows bad(row_errors(data));
  ExampleReader reader(sources, bad, data.trains);
  ExampleBlock block;
  while (static_cast<int64_t>(questions.size()) < most && reader.next(block)) {
    const EncodeOptions options = encode_options(data, reader.source(block.source), tokenizer, 2);
    for (const ExampleRow& row : block.rows) {
      if (static_cast<int64_t>(questions.size()) == most) break;
      questions.push_back({encode_prompt(tokenizer, options, row.example), row.example.prompt, row.example.completion});
    }
  }
  return questions;
}

Answers answer_questions(LlamaForCausalLM& model, const Tokenizer& tokenizer, const std::vector<Question>& questions,
                         const std::vector<int64_t>& ends, int64_t max_new_tokens,
                         const std::function<void(int64_t answered)>& on_answer) {
  GenerationConfig config;
  config.max_new_tokens = max_new_tokens;
  config.eos_ids = ends;
  int64_t answered = 0;
  config.on_end = [&] {
    if (on_answer) on_answer(++answered);
  };
  const bool training = model.is_training();
  model.eval();
  Answers answers;
  std::vector<std::vector<int64_t>> prompts;
  for (const Question& question : questions) prompts.push_back(question.prompt);
  const auto tokens = generate(model, prompts, config);
  for (size_t i = 0; i < questions.size(); ++i) {
    const std::string text = strip(continuation(tokenizer, prompts[i], tokens[i]));
    answers.exact += text == strip(questions[i].expected);
    answers.texts.push_back(text);
  }
  model.train(training);
  return answers;
}

}  // namespace lora
