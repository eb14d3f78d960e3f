#include "lora/inference/prompts.h"

#include <algorithm>
#include <numeric>

#include "lora/adapters/adapter_name.h"
#include "lora/adapters/rowwise.h"
#include "lora/data/rows.h"
#include "lora/data/sample.h"
#include "lora/inference/exact_match.h"
#include "models/base/did_you_mean.h"
#include "models/base/error.h"

namespace lora {
namespace {

// `adapters` of each prompt, sorted. If they differ, all of them must be able to share a batch.
std::vector<std::vector<int64_t>> generate_together(AdapterSet& set, const std::vector<std::vector<int64_t>>& ids,
                                                    const std::vector<std::string>& adapters,
                                                    const GenerationConfig& config) {
  if (adapters.front() == adapters.back()) {
    if (adapters.front().empty()) {
      set.deactivate();
    } else {
      set.activate(adapters.front());
    }
    return generate(*set.model(), ids, config);
  }
  std::vector<std::string> names;
  std::vector<int64_t> index;  // index of each prompt's adapter in `names`
  for (const std::string& adapter : adapters) {
    if (!adapter.empty() && (names.empty() || names.back() != adapter)) names.push_back(adapter);
    index.push_back(adapter.empty() ? -1 : static_cast<int64_t>(names.size()) - 1);
  }
  RowwiseAdapters rowwise(set, names);
  std::vector<int64_t> rows;
  return generate(*set.model(), ids, config, {},
                  [&](const std::vector<int64_t>& active, const std::vector<int64_t>& lengths) {
                    rows.clear();
                    for (const int64_t prompt : active) rows.push_back(index[static_cast<size_t>(prompt)]);
                    rowwise.set_rows(lengths, rows);
                  });
}

}  // namespace

std::vector<Prompt> load_prompts(const std::filesystem::path& file, const AdapterSet& set,
                                 const std::string& otherwise) {
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
  });
  if (prompts.empty()) throw DataError(file.string() + ": no prompts in it");
  return prompts;
}

std::vector<std::string> answer_prompts(AdapterSet& set, const Tokenizer& tokenizer, const std::vector<Prompt>& prompts,
                                        const GenerationConfig& config, bool allow_special_tokens) {
  set.model()->eval();
  // Adapters that can share a batch come first. The prompts of one adapter are contiguous.
  const auto alone = [&](const Prompt& prompt) {
    return !prompt.adapter.empty() && !set.only_adapts_layers(prompt.adapter);
  };
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return std::pair(alone(prompts[i]), prompts[i].adapter); });

  std::vector<std::string> texts(prompts.size());
  for (size_t begin = 0; begin < order.size();) {
    const Prompt& first = prompts[order[begin]];
    std::vector<std::vector<int64_t>> ids;
    std::vector<std::string> adapters;
    size_t end = begin;
    for (; end < order.size() && end - begin < kPromptsAtOnce; ++end) {
      const Prompt& prompt = prompts[order[end]];
      if (prompt.adapter != first.adapter && alone(prompt)) break;
      ids.push_back(encode_prompt(tokenizer, prompt.text, allow_special_tokens));
      adapters.push_back(prompt.adapter);
    }
    const auto answers = generate_together(set, ids, adapters, config);
    for (size_t i = begin; i < end; ++i) texts[order[i]] = continuation(tokenizer, ids[i - begin], answers[i - begin]);
    begin = end;
  }
  return texts;
}

}  // namespace lora
