#include "lora/data/sample.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "lora/data/chat_template.h"
#include "lora/data/spelled_tokens.h"
#include "lora/data/whole_sample.h"

namespace lora {
namespace {

Chat as_chat(const Example& example) {
  const std::string& words = example.user.empty() ? example.prompt : example.user;
  Chat chat{{chat_message("user", words), chat_message("assistant", example.completion)}};
  if (!example.system.empty()) chat.messages.insert(chat.messages.begin(), chat_message("system", example.system));
  return chat;
}

std::vector<Token> encode_data(const Tokenizer& tokenizer, std::string_view text, bool allow_special_tokens) {
  const TextRange all{0, text.size()};
  return tokenizer.encode(text, std::span(&all, allow_special_tokens ? 1 : 0));
}

WholeSample encode_text(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example) {
  const std::string text = example.prompt + example.completion;
  const size_t skipped = spelled_bos(tokenizer, text);
  const size_t prompt_end = example.prompt.size() > skipped ? example.prompt.size() - skipped : 0;
  const bool all = options.train_on == TrainOn::kAll;

  WholeSample whole;
  whole.is_answer = !example.prompt.empty();
  const std::string_view read = std::string_view(text).substr(skipped);
  const std::vector<Token> tokens = encode_data(tokenizer, read, options.allow_special_tokens);
  size_t end = own_eos(tokenizer, read, tokens);
  if (end < tokens.size() && tokens[end].begin < prompt_end) end = tokens.size();  // the prompt's
  whole.sample.ids.reserve(tokens.size() + 2);
  whole.sample.supervised.reserve(tokens.size() + 2);
  if (tokenizer.adds_bos()) whole.add(*tokenizer.bos_id(), false);
  for (size_t i = 0; i < tokens.size(); ++i) {
    whole.add(tokens[i].id, i <= end && (all || tokens[i].begin >= prompt_end));
  }
  whole.has_bos = tokenizer.bos_id() && !whole.sample.ids.empty() && whole.sample.ids.front() == *tokenizer.bos_id();
  if (const auto eos = tokenizer.eos_id()) {
    if (end == tokens.size()) whole.add(*eos, true);
    whole.end_ids.push_back(*eos);
  }
  return whole;
}

}  // namespace

WholeSample encode_whole(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example) {
  if (options.chat && example.chat) return encode_chat(tokenizer, options, *example.chat);
  if (options.own_chat && example.chat) {
    EncodeOptions rendered = options;
    rendered.chat = options.own_chat;
    return encode_chat(tokenizer, rendered, *example.chat);
  }
  if (options.chat_for_prompts) return encode_chat(tokenizer, options, as_chat(example));
  return encode_text(tokenizer, options, example);
}

EncodedExample encode_example(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example) {
  const auto encode = [&] {
    switch (options.trains) {
      case Trains::kPair:
        return encode_pair(tokenizer, options, example);
      case Trains::kMark:
        return encode_marked(tokenizer, options, example);
      case Trains::kText:
      case Trains::kLabel:
        break;
    }
    return fit(encode_whole(tokenizer, options, example), options);
  };
  EncodedExample encoded = encode();
  if (options.spelled) {
    const std::string_view first = example.prompt.empty() ? example.completion : example.prompt;
    options.spelled->find(first.substr(example.chat ? 0 : spelled_bos(tokenizer, first)), encoded.spelled);
    if (!example.prompt.empty()) options.spelled->find(example.completion, encoded.spelled);
    if (example.rejected && options.trains != Trains::kText) {
      options.spelled->find(example.rejected->completion, encoded.spelled);
    }
  }
  return encoded;
}

std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const std::string& prompt, bool allow_special_tokens) {
  std::vector<int64_t> ids;
  if (tokenizer.adds_bos()) ids.push_back(*tokenizer.bos_id());
  const auto text = std::string_view(prompt).substr(spelled_bos(tokenizer, prompt));
  for (const Token& token : encode_data(tokenizer, text, allow_special_tokens)) ids.push_back(token.id);
  return ids;
}

std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example) {
  const auto& chat_template = example.chat && !options.chat ? options.own_chat : options.chat;
  if (!chat_template || (!example.chat && !options.chat_for_prompts)) {
    return encode_prompt(tokenizer, example.prompt, options.allow_special_tokens);
  }
  const Chat made = example.chat ? Chat() : as_chat(example);
  const Chat& chat = example.chat ? *example.chat : made;
  const size_t count = chat.messages.size() - (chat.messages.back().role() == "assistant" ? 1 : 0);
  return encode_chat_prompt(tokenizer, *chat_template, chat, count, kTrainingDate, options.allow_special_tokens);
}

EncodedExample encode_labelled(const Tokenizer& tokenizer, const std::string& text, int32_t label, int64_t max_length) {
  const std::vector<int64_t> ids = encode_prompt(tokenizer, text);
  const size_t kept = std::min(ids.size(), static_cast<size_t>(max_length));
  if (kept == 0) return {.samples = {}, .counts = {.untrained = 1}};
  Sample sample;
  sample.ids.assign(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(kept));
  sample.supervised.assign(kept, 0);
  sample.supervised.back() = 1;
  sample.label = label;
  return {.samples = {std::move(sample)}, .counts = {.cut = kept < ids.size()}};
}

}  // namespace lora
