#include "lora/data/sample.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace lora {
namespace {

// Rows written for other tools may spell out the BOS that we put in front ourselves.
size_t spelled_bos(const Tokenizer& tokenizer, std::string_view text) {
  if (!tokenizer.adds_bos()) return 0;
  const std::string name = tokenizer.piece(*tokenizer.bos_id());
  return !name.empty() && text.starts_with(name) ? name.size() : 0;
}

}  // namespace

EncodedExample encode_example(const Tokenizer& tokenizer, const Example& example, int64_t max_length) {
  const std::string whole = example.prompt + example.completion;
  const size_t skipped = spelled_bos(tokenizer, whole);
  const std::string_view text = std::string_view(whole).substr(skipped);
  const size_t prompt_end = example.prompt.size() > skipped ? example.prompt.size() - skipped : 0;

  EncodedExample encoded;
  auto& ids = encoded.sample.ids;
  auto& supervised = encoded.sample.supervised;
  const auto limit = static_cast<size_t>(max_length > 0 ? max_length : 0);
  const auto add = [&](int64_t id, bool target) {
    if (ids.size() == limit) {
      encoded.cut = true;
      return;
    }
    // Nothing stands before the first token to predict it from.
    supervised.push_back(target && !ids.empty());
    ids.push_back(static_cast<int32_t>(id));
  };

  const std::vector<Token> tokens = tokenizer.encode(text);
  ids.reserve(std::min(limit, tokens.size() + 2));
  supervised.reserve(std::min(limit, tokens.size() + 2));
  if (tokenizer.adds_bos()) add(*tokenizer.bos_id(), false);
  for (const Token& token : tokens) add(token.id, token.begin >= prompt_end);
  if (const auto eos = tokenizer.eos_id()) add(*eos, true);
  return encoded;
}

std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const std::string& prompt) {
  std::vector<int64_t> ids;
  if (tokenizer.adds_bos()) ids.push_back(*tokenizer.bos_id());
  const auto text = std::string_view(prompt).substr(spelled_bos(tokenizer, prompt));
  for (const Token& token : tokenizer.encode(text)) ids.push_back(token.id);
  return ids;
}

EncodedExample encode_labelled(const Tokenizer& tokenizer, const std::string& text, int32_t label, int64_t max_length) {
  const std::vector<int64_t> ids = encode_prompt(tokenizer, text);
  const size_t kept = std::min(ids.size(), static_cast<size_t>(max_length));
  EncodedExample encoded;
  encoded.cut = kept < ids.size();
  encoded.sample.ids.assign(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(kept));
  encoded.sample.supervised.assign(kept, 0);
  if (kept > 0) encoded.sample.supervised.back() = 1;
  encoded.sample.label = label;
  return encoded;
}

}  // namespace lora
