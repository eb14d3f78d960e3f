#include "lora/inference/prompts.h"

#include <algorithm>
#include <map>
#include <span>

#include "lora/adapters/adapter_name.h"
#include "lora/data/rows.h"
#include "lora/data/sample.h"
#include "lora/inference/answer_text.h"
#include "lora/inference/plain_generation.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {
namespace {

void switch_to(AdapterSet& set, const std::string& adapter) {
  if (adapter.empty()) {
    set.deactivate();
  } else {
    set.activate(adapter);
  }
}

// The tokens of all answers, by each prompt's adapter.
void generate_side_by_side(AdapterSet& set, const std::vector<std::vector<int64_t>>& ids,
                           const std::vector<Prompt>& prompts, const GenerationConfig& config,
                           const OnToken& on_token) {
  BatchDecoder decoder(*set.model(), config.kv_dtype);
  std::map<std::string, std::shared_ptr<const ModelSnapshot>> models;
  std::vector<Asked> asked;
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::shared_ptr<const ModelSnapshot>& model = models[prompts[i].adapter];
    if (!model) {
      switch_to(set, prompts[i].adapter);
      model = decoder.snapshot(*set.model());
    }
    asked.push_back({model, ids[i]});
  }
  generate_batch(decoder, /*cache=*/nullptr, asked, config, on_token);
}

// The same for a model that is not decoded in batches: one adapter after another.
void generate_in_turn(AdapterSet& set, const std::vector<std::vector<int64_t>>& ids, const std::vector<Prompt>& prompts,
                      const GenerationConfig& config, const OnToken& on_token) {
  std::map<std::string, std::vector<size_t>> by_adapter;
  for (size_t i = 0; i < prompts.size(); ++i) by_adapter[prompts[i].adapter].push_back(i);
  for (const auto& [adapter, all] : by_adapter) {
    switch_to(set, adapter);
    for (size_t begin = 0; begin < all.size(); begin += kPromptsAtOnce) {
      const std::span<const size_t> places =
          std::span(all).subspan(begin, std::min(kPromptsAtOnce, all.size() - begin));
      std::vector<std::vector<int64_t>> together;
      for (const size_t place : places) together.push_back(ids[place]);
      generate_plainly(*set.model(), together, config, [&](size_t i, int64_t id, std::span<const float> logits) {
        return on_token(places[i], id, logits);
      });
    }
  }
}

}  // namespace

std::vector<Prompt> load_prompts(const std::filesystem::path& file, const AdapterSet& set, const std::string& otherwise,
                                 std::vector<std::string>& unread) {
  std::vector<Prompt> prompts;
  DataSource source;
  source.path = file.string();
  for_each_row(source, [&](const DataRow& row) {
    Prompt prompt{row.text("prompt"), row.optional_text("adapter")};
    if (prompt.adapter.empty()) prompt.adapter = otherwise;
    if (prompt.adapter == kNoAdapter) prompt.adapter.clear();
    if (prompt.text.empty()) throw DataError(row.where() + ": the prompt is empty");
    if (!prompt.adapter.empty() && !set.contains(prompt.adapter)) {
      std::string loaded;
      for (const std::string& name : set.names()) loaded += (loaded.empty() ? "" : ", ") + name;
      throw DataError(row.where() + ": no adapter '" + prompt.adapter + "' was loaded" +
                      did_you_mean(prompt.adapter, set.names()) + "; loaded: " + (loaded.empty() ? "none" : loaded));
    }
    prompts.push_back(std::move(prompt));
    for (const std::string& name : row.unread()) {
      if (std::ranges::count(unread, name) == 0) unread.push_back(name);
    }
  });
  if (prompts.empty()) throw DataError(file.string() + ": no prompts in it");
  return prompts;
}

std::vector<PromptAnswer> answer_prompts(AdapterSet& set, const Tokenizer& tokenizer,
                                         const std::vector<Prompt>& prompts, const GenerationConfig& config,
                                         bool allow_special_tokens, int64_t likeliest_count) {
  set.model()->eval();
  std::vector<std::vector<int64_t>> ids;
  std::vector<AnswerText> texts;
  for (const Prompt& prompt : prompts) {
    ids.push_back(encode_prompt(tokenizer, prompt.text, allow_special_tokens));
    texts.emplace_back(tokenizer, ids.back(), config.stop_texts);
  }
  std::vector<PromptAnswer> made(prompts.size());
  const auto on_token = [&](size_t i, int64_t id, std::span<const float> logits) {
    ++made[i].length;
    if (likeliest_count >= 0) {
      made[i].tokens.push_back({id, log_probability(logits, id), likeliest(logits, likeliest_count)});
    }
    made[i].text += texts[i].add(id);
    return !texts[i].is_stopped();
  };
  const auto problem = BatchDecoder::problem(*set.model());
  if (problem) expect_model_dtype(config.kv_dtype, *problem);
  (problem ? generate_in_turn : generate_side_by_side)(set, ids, prompts, config, on_token);
  set.deactivate();
  for (size_t i = 0; i < prompts.size(); ++i) {
    made[i].text += texts[i].rest();
    made[i].length += std::ssize(ids[i]);
  }
  return made;
}

}  // namespace lora
