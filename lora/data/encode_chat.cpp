// Tokenises conversations. Special tokens come only from templates, never from rows.

#include <algorithm>

#include "lora/data/answers.h"
#include "lora/data/lost.h"
#include "lora/data/spelled_tokens.h"
#include "lora/data/turns.h"
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

// The messages that are trained, wholly or as answers.
std::vector<size_t> trained_messages(TrainOn train_on, const Chat& chat) {
  std::vector<size_t> trained;
  for (size_t i = 0; i < chat.messages.size(); ++i) {
    const ChatMessage& message = chat.messages[i];
    if (train_on == TrainOn::kAll) {
      if (!message.masked) trained.push_back(i);
    } else if (message.role() == "assistant") {
      if (train_on == TrainOn::kLastTurn) trained.clear();
      trained.push_back(i);
    }
  }
  if (train_on != TrainOn::kAll) std::erase_if(trained, [&](size_t i) { return !chat.messages[i].trained; });
  return trained;
}

size_t tokens_before(const std::vector<Token>& tokens, size_t end) {
  return static_cast<size_t>(std::ranges::lower_bound(tokens, end, {}, &Token::begin) - tokens.begin());
}

// What is not trained where all is: the answers and the words of messages that are marked so. In order.
std::vector<TextRange> masked_ranges(const ChatTemplate& chat_template, const Chat& chat, const jinja::Text& whole) {
  std::vector<size_t> answers;
  for (size_t i = 0; i < chat.messages.size(); ++i) {
    if (chat.messages[i].masked && chat.messages[i].role() == "assistant") answers.push_back(i);
  }
  std::vector<TextRange> ranges;
  for (const Answer& answer : find_answers(chat_template, chat, whole, answers)) {
    ranges.push_back({answer.begin, answer.end});
  }
  for (const MessageRun& run : message_runs(whole)) {
    if (chat.messages[run.message].masked && chat.messages[run.message].role() != "assistant") {
      ranges.push_back({run.begin, run.end});
    }
  }
  std::ranges::sort(ranges, {}, &TextRange::begin);
  return ranges;
}

}  // namespace

WholeSample encode_chat(const Tokenizer& tokenizer, const EncodeOptions& options, const Chat& chat) {
  WholeSample whole;
  const jinja::Text text = options.chat->render(chat, chat.messages.size(), false, kTrainingDate, &whole.unread);
  const std::vector<Token> tokens = encode_rendered(tokenizer, text, options.allow_special_tokens);
  const bool all = options.train_on == TrainOn::kAll;
  const std::vector<size_t> trained = trained_messages(options.train_on, chat);

  whole.counts = lost_parts(*options.chat, chat, text, trained);
  std::vector<Answer> answers;
  std::vector<TextRange> masked;
  size_t end = text.size();  // of the last turn
  if (all) {
    masked = masked_ranges(*options.chat, chat, text);
    end -= TurnFinder(*options.chat, chat, text).closing();
    masked.push_back({end, text.size()});
  } else {
    answers = find_answers(*options.chat, chat, text, trained);
  }
  for (const Answer& answer : answers) {
    whole.counts.open_answers += answer.last && answer.end == answer.tail && answer.message + 1 < chat.messages.size();
  }
  whole.is_answer = !answers.empty();
  if (lacks_bos(tokenizer, tokens)) whole.add(*tokenizer.bos_id(), false);
  bool ended = false;  // the last answer ends with a special token
  auto mask = masked.begin();
  for (auto answer = answers.begin(); const Token& token : tokens) {
    while (answer != answers.end() && answer->end <= token.begin) ++answer;
    while (mask != masked.end() && mask->end <= token.begin) ++mask;
    const bool inside = answer != answers.end() && token.begin >= answer->begin;
    const bool is_masked = mask != masked.end() && token.begin >= mask->begin;
    whole.add(token.id, (all && !is_masked) || inside);
    if (!inside) continue;
    // A token that takes the white space before it (lstrip) begins in the answer's own words.
    ended = token.end > answer->tail && tokenizer.is_special(token.id);
    if (ended) whole.end_ids.push_back(token.id);
  }
  whole.has_bos = tokenizer.bos_id() && !whole.sample.ids.empty() && whole.sample.ids.front() == *tokenizer.bos_id();

  const auto eos = tokenizer.eos_id();
  bool ends_trained = !answers.empty() && answers.back().message + 1 == chat.messages.size();
  if (all && chat.messages.back().role() == "assistant" && !chat.messages.back().masked) {
    whole.is_answer = ends_trained = true;
    // A line end may follow the end of the turn.
    const size_t count = tokens_before(tokens, end);
    for (size_t i = count - std::min<size_t>(count, 2); i < count; ++i) {
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
                                        size_t count, const jinja::Date& now, bool allow_special_tokens,
                                        std::set<std::string>* unread) {
  const jinja::Text text = chat_template.render(chat, count, true, now, unread);
  if (unread && loses_tools(chat, text)) unread->insert("tools");
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
