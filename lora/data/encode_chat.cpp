// Tokenises conversations. Special tokens come only from templates, never from rows.

#include <algorithm>

#include "lora/data/answers.h"
#include "lora/data/spelled_tokens.h"
#include "lora/data/whole_sample.h"

namespace lora {
namespace {

// The ranges that the template wrote, or the whole text.
std::vector<TextRange> special_ranges(const jinja::Text& text, bool everywhere) {
  if (everywhere) return {{0, text.size()}};
  std::vector<TextRange> ranges;
  size_t begin = 0;
  for (const jinja::Run& run : text.runs()) {
    if (run.origin < 0 && !ranges.empty() && ranges.back().end == begin) {
      ranges.back().end = run.end;
    } else if (run.origin < 0) {
      ranges.push_back({begin, run.end});
    }
    begin = run.end;
  }
  return ranges;
}

std::vector<Token> encode_rendered(const Tokenizer& tokenizer, const jinja::Text& text, bool allow_special_tokens) {
  std::vector<Token> tokens = tokenizer.encode(text.bytes(), special_ranges(text, allow_special_tokens));
  if (allow_special_tokens) drop_repeated(tokenizer, text.bytes(), special_ranges(text, false), tokens);
  return tokens;
}

// True if BOS must be added: a template either writes it or leaves it to the tokenizer.
bool lacks_bos(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
  return tokenizer.adds_bos() && (tokens.empty() || tokens.front().id != *tokenizer.bos_id());
}

std::vector<Answer> trained_answers(const EncodeOptions& options, const Chat& chat, const jinja::Text& whole) {
  if (options.train_on == TrainOn::kAll) return {};
  std::vector<Answer> answers = find_answers(*options.chat, chat, whole);
  if (options.train_on == TrainOn::kLastTurn && answers.size() > 1) answers.erase(answers.begin(), answers.end() - 1);
  std::erase_if(answers, [&](const Answer& answer) { return !chat.messages[answer.message].trained; });
  return answers;
}

}  // namespace

WholeSample encode_chat(const Tokenizer& tokenizer, const EncodeOptions& options, const Chat& chat) {
  const jinja::Text text = options.chat->render(chat, chat.messages.size(), false);
  const std::vector<Token> tokens = encode_rendered(tokenizer, text, options.allow_special_tokens);
  const std::vector<Answer> answers = trained_answers(options, chat, text);
  const bool all = options.train_on == TrainOn::kAll;

  WholeSample whole;
  whole.is_answer = !answers.empty();
  if (lacks_bos(tokenizer, tokens)) whole.add(*tokenizer.bos_id(), false);
  bool ended = false;  // the last answer ends with a special token
  for (auto answer = answers.begin(); const Token& token : tokens) {
    while (answer != answers.end() && answer->end <= token.begin) ++answer;
    const bool inside = answer != answers.end() && token.begin >= answer->begin;
    whole.add(token.id, all || inside);
    if (!inside) continue;
    ended = token.begin >= answer->tail && tokenizer.is_special(token.id);
    if (ended) whole.end_ids.push_back(token.id);
  }
  whole.has_bos = tokenizer.bos_id() && !whole.sample.ids.empty() && whole.sample.ids.front() == *tokenizer.bos_id();

  const auto eos = tokenizer.eos_id();
  bool ends_trained = !answers.empty() && answers.back().message + 1 == chat.messages.size();
  if (all && chat.messages.back().role() == "assistant") {
    whole.is_answer = ends_trained = true;
    // A line end may follow the end of the turn.
    for (size_t i = tokens.size() - std::min<size_t>(tokens.size(), 2); i < tokens.size(); ++i) {
      if (!tokenizer.is_special(tokens[i].id)) continue;
      ended = true;
      whole.end_ids.push_back(tokens[i].id);
    }
  }
  if (eos && ends_trained && !ended) {
    // EOS follows the answer directly, before the template's white space.
    while (!whole.sample.ids.empty() && !whole.sample.supervised.back() && whole.sample.ids.size() > 1) {
      whole.sample.ids.pop_back();
      whole.sample.supervised.pop_back();
    }
    if (whole.sample.ids.empty() || whole.sample.ids.back() != *eos) whole.add(*eos, true);
    whole.end_ids.push_back(*eos);
  }
  return whole;
}

std::vector<int64_t> encode_chat_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat_template, const Chat& chat,
                                        size_t count, const jinja::Date& now, bool allow_special_tokens) {
  const jinja::Text text = chat_template.render(chat, count, true, now);
  const std::vector<Token> tokens = encode_rendered(tokenizer, text, allow_special_tokens);
  std::vector<int64_t> ids;
  if (lacks_bos(tokenizer, tokens)) ids.push_back(*tokenizer.bos_id());
  for (const Token& token : tokens) ids.push_back(token.id);
  return ids;
}

std::vector<int64_t> end_of_turn_ids(const Tokenizer& tokenizer, const ChatTemplate& chat_template) {
  const Chat chat{{chat_message("user", "a"), chat_message("assistant", "b")}};
  EncodeOptions options;
  options.chat = {std::shared_ptr<const ChatTemplate>(), &chat_template};  // borrowed
  return encode_chat(tokenizer, options, chat).end_ids;
}

}  // namespace lora
