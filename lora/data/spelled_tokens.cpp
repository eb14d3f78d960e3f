#include "lora/data/spelled_tokens.h"

#include <algorithm>
#include <cctype>

#include "lora/data/tokenizers/unicode.h"
#include "models/base/error.h"

namespace lora {
namespace {

void add_once(const std::string& name, std::vector<std::string>& names) {
  if (std::ranges::count(names, name) == 0) names.push_back(name);
}

bool blank_token(std::string_view text, const Token& token) {
  for (size_t at = token.begin; at < token.end;) {
    const Character character = character_at(text, at);
    if (!is_white_space(character.code)) return false;
    at += character.length;
  }
  return true;
}

// The text that the template itself wrote, with a line end in place of each other part.
std::string written_by(const jinja::Text& text) {
  std::string written;
  size_t begin = 0;
  for (const jinja::Run& run : text.runs()) {
    written += run.origin < 0 ? std::string(text.bytes().substr(begin, run.end - begin)) : "\n";
    begin = run.end;
  }
  return written;
}

// "<|im_start|>", "<start_of_turn>": no white space, no other bracket, a letter. Not "<SYS>" of "<<SYS>>".
std::vector<std::string> bracketed(std::string_view text) {
  constexpr size_t kLongest = 48;
  std::vector<std::string> names;
  for (size_t at = text.find('<'); at != text.npos; at = text.find('<', at + 1)) {
    const size_t end = text.find_first_of("<> \t\n", at + 1);
    if (end == text.npos || text[end] != '>' || end - at > kLongest || (at > 0 && text[at - 1] == '<')) continue;
    const std::string_view name = text.substr(at, end + 1 - at);
    if (std::ranges::any_of(name, [](unsigned char c) { return std::isalpha(c) != 0; })) {
      add_once(std::string(name), names);
    }
  }
  return names;
}

bool is_one_token(const Tokenizer& tokenizer, const std::string& name) {
  const TextRange all{0, name.size()};
  return std::ranges::any_of(tokenizer.encode(name, std::span(&all, 1)),
                             [&](const Token& token) { return tokenizer.piece(token.id) == name; });
}

}  // namespace

SpelledTokens::SpelledTokens(const Tokenizer& tokenizer) {
  std::vector<AddedToken> tokens;
  for (int64_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_special(id)) tokens.push_back({.content = tokenizer.piece(id), .id = id});
  }
  tokens_ = AddedTokens(std::move(tokens));
}

void SpelledTokens::find(std::string_view text, std::vector<std::string>& names) const {
  for (const AddedMatch& match : tokens_.find(text, [](size_t, size_t) { return true; })) {
    add_once(tokens_.by_id(match.id)->content, names);
  }
}

size_t spelled_bos(const Tokenizer& tokenizer, std::string_view text) {
  if (!tokenizer.adds_bos()) return 0;
  const std::string name = tokenizer.piece(*tokenizer.bos_id());
  return !name.empty() && text.starts_with(name) ? name.size() : 0;
}

size_t own_eos(const Tokenizer& tokenizer, std::string_view text, const std::vector<Token>& tokens) {
  for (size_t i = tokens.size(); i-- > 0;) {
    if (tokens[i].id == tokenizer.eos_id()) return i;
    if (!blank_token(text, tokens[i])) break;
  }
  return tokens.size();
}

void drop_repeated(const Tokenizer& tokenizer, std::string_view text, std::span<const TextRange> by_template,
                   std::vector<Token>& tokens) {
  std::vector<Token> kept;
  const auto of_template = [&](const Token& token) { return inside(by_template, token.begin, token.begin + 1); };
  // Removes the row's blanks at the end, and the row's special token `id` before them; nothing if there is none.
  const auto drop_own = [&](int64_t id) {
    size_t last = kept.size();
    while (last > 0 && !of_template(kept[last - 1]) && blank_token(text, kept[last - 1])) --last;
    if (last > 0 && !of_template(kept[last - 1]) && kept[last - 1].id == id) kept.resize(last - 1);
  };
  for (const Token& token : tokens) {
    if (tokenizer.is_special(token.id)) {
      if (of_template(token)) {
        drop_own(token.id);
      } else if (!kept.empty() && kept.back().id == token.id && of_template(kept.back())) {
        continue;
      }
    }
    kept.push_back(token);
  }
  size_t last = kept.size();
  while (last > 0 && !of_template(kept[last - 1]) && blank_token(text, kept[last - 1])) --last;
  if (last > 0 && !of_template(kept[last - 1]) && tokenizer.is_special(kept[last - 1].id)) kept.resize(last);
  tokens = std::move(kept);
}

std::vector<std::string> names_without_token(const ChatTemplate& chat_template, const Tokenizer& tokenizer) {
  const ChatMessage system = chat_message("system", "a"), user = chat_message("user", "b"),
                    assistant = chat_message("assistant", "c");
  for (const Chat& chat : {Chat{{system, user, assistant}}, Chat{{user, assistant}}}) {
    try {
      std::vector<std::string> names = bracketed(written_by(chat_template.render(chat, chat.messages.size(), true)));
      std::erase_if(names, [&](const std::string& name) { return is_one_token(tokenizer, name); });
      return names;
    } catch (const DataError&) {  // some templates have no role for the system
    }
  }
  return {};
}

}  // namespace lora
