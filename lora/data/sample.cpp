#include "lora/data/sample.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "lora/data/chat_template.h"
#include "lora/data/whole_sample.h"

namespace lora {
namespace {

// The length of a BOS written out at the start of the text, as in rows made for other tools. It would double the BOS
// that is added.
size_t spelled_bos(const Tokenizer& tokenizer, std::string_view text) {
  if (!tokenizer.adds_bos()) return 0;
  const std::string name = tokenizer.piece(*tokenizer.bos_id());
  return !name.empty() && text.starts_with(name) ? name.size() : 0;
}

Chat as_chat(const Example& example) {
  const std::string& words = example.user.empty() ? example.prompt : example.user;
  Chat chat{{chat_message("user", words), chat_message("assistant", example.completion)}};
  if (!example.system.empty()) chat.messages.insert(chat.messages.begin(), chat_message("system", example.system));
  return chat;
}

std::vector<Token> encode_data(const Tokenizer& tokenizer, const EncodeOptions& options, std::string_view text) {
  const TextRange all{0, text.size()};
  return tokenizer.encode(text, std::span(&all, options.allow_special_tokens ? 1 : 0));
}

}  // namespace

EncodedExample encode_example(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example) {
  if (options.chat && example.chat) return fit(encode_chat(tokenizer, options, *example.chat), options);
  if (options.own_chat && example.chat) {
    EncodeOptions rendered = options;
    rendered.chat = options.own_chat;
    return fit(encode_chat(tokenizer, rendered, *example.chat), options);
  }
  if (options.chat_for_prompts) return fit(encode_chat(tokenizer, options, as_chat(example)), options);
  const std::string text = example.prompt + example.completion;
  const size_t skipped = spelled_bos(tokenizer, text);
  const size_t prompt_end = example.prompt.size() > skipped ? example.prompt.size() - skipped : 0;
  const bool all = options.train_on == TrainOn::kAll;

  WholeSample whole;
  whole.is_answer = !example.prompt.empty();
  const std::vector<Token> tokens = encode_data(tokenizer, options, std::string_view(text).substr(skipped));
  whole.sample.ids.reserve(tokens.size() + 2);
  whole.sample.supervised.reserve(tokens.size() + 2);
  if (tokenizer.adds_bos()) {
    whole.add(*tokenizer.bos_id(), false);
    whole.has_bos = true;
  }
  for (const Token& token : tokens) whole.add(token.id, all || token.begin >= prompt_end);
  if (const auto eos = tokenizer.eos_id()) {
    whole.add(*eos, true);
    whole.end_ids.push_back(*eos);
  }
  return fit(std::move(whole), options);
}

std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const std::string& prompt) {
  std::vector<int64_t> ids;
  if (tokenizer.adds_bos()) ids.push_back(*tokenizer.bos_id());
  const auto text = std::string_view(prompt).substr(spelled_bos(tokenizer, prompt));
  for (const Token& token : tokenizer.encode(text)) ids.push_back(token.id);
  return ids;
}

std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const EncodeOptions& options, const Example& example) {
  const auto& chat_template = example.chat && !options.chat ? options.own_chat : options.chat;
  if (!chat_template || (!example.chat && !options.chat_for_prompts)) return encode_prompt(tokenizer, example.prompt);
  const Chat made = example.chat ? Chat() : as_chat(example);
  const Chat& chat = example.chat ? *example.chat : made;
  const size_t count = chat.messages.size() - (chat.messages.back().role() == "assistant" ? 1 : 0);
  return encode_chat_prompt(tokenizer, *chat_template, chat, count, kTrainingDate);
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
