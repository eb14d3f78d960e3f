#include "lora/data/answers.h"

#include <algorithm>
#include <optional>

#include "models/base/error.h"

namespace lora {
namespace {

using jinja::Origin;
using jinja::Run;
using jinja::Text;

Origin origin_of(size_t message) { return static_cast<Origin>(message) + 1; }

struct Extent {
  size_t begin, end;
};

// The range from the first to the last byte that is data of message `message`.
std::optional<Extent> words_of(const Text& text, size_t message) {
  std::optional<Extent> extent;
  size_t begin = 0;
  for (const Run& run : text.runs()) {
    if (run.origin == origin_of(message)) {
      if (!extent) extent = {begin, run.end};
      extent->end = run.end;
    }
    begin = run.end;
  }
  return extent;
}

bool is_blank_byte(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// Removes trailing white space from [begin, end), unless there is nothing else.
size_t without_space(const std::string& bytes, size_t begin, size_t end) {
  size_t last = end;
  while (last > begin && is_blank_byte(bytes[last - 1])) --last;
  return last;
}

size_t common_bytes(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

// The length of the common text of `a` and `b` from these positions on: equal bytes with equal origins.
size_t common_text(const Text& a, size_t in_a, const Text& b, size_t in_b) {
  const size_t bytes = common_bytes(std::string_view(a.bytes()).substr(in_a), std::string_view(b.bytes()).substr(in_b));
  size_t same = 0;
  while (same < bytes && a.origin_at(in_a + same) == b.origin_at(in_b + same)) ++same;
  return same;
}

bool ends_a_run(const Text& text, size_t at) {
  return std::ranges::any_of(text.runs(), [&](const Run& run) { return run.end == at; });
}

class Finder {
 public:
  Finder(const ChatTemplate& chat_template, const Chat& chat, const Text& whole)
      : template_(chat_template), chat_(chat), whole_(whole) {}

  Answer find(size_t message) const {
    const std::optional<Extent> words = words_of(whole_, message);
    Answer answer{.message = message, .begin = 0, .tail = 0, .end = 0};
    answer.begin = begin(message, words);
    answer.tail = words ? words->end : answer.begin;
    answer.end = end(message, words, answer);
    return answer;
  }

 private:
  [[noreturn]] void refuse(size_t message, const std::string& what) const {
    throw DataError("messages[" + std::to_string(message) + "]: cannot tell where this answer " + what +
                    " in what the chat template makes of the conversation (" + template_.name() +
                    "); a template with {% generation %} around answers says it, as does train_on: all");
  }

  size_t begin(size_t message, const std::optional<Extent>& words) const {
    if (message == 0) {  // there is no previous message to render
      if (!words) refuse(message, "begins");
      return words->begin;
    }
    const Text prompt = template_.render(chat_, message, true);
    if (whole_.bytes().starts_with(prompt.bytes()) && (!words || prompt.size() <= words->begin)) return prompt.size();
    // The end of the prompt after the data of the last previous message that it contains.
    for (size_t before = message; words && before-- > 0;) {
      const auto in_prompt = words_of(prompt, before), in_whole = words_of(whole_, before);
      if (!in_prompt && !in_whole) continue;
      if (!in_prompt || !in_whole || in_whole->end > words->begin) break;
      const std::string_view header = std::string_view(prompt.bytes()).substr(in_prompt->end);
      const std::string_view between =
          std::string_view(whole_.bytes()).substr(in_whole->end, words->begin - in_whole->end);
      if (between.starts_with(header)) return in_whole->end + header.size();
      // The prompt begins the answer itself, for example with <think>, and this answer does not have that text.
      if (header.starts_with(between)) return words->begin;
      break;
    }
    refuse(message, "begins");
  }

  size_t end(size_t message, const std::optional<Extent>& words, const Answer& answer) const {
    const Text upto = message + 1 == chat_.messages.size() ? whole_ : template_.render(chat_, message + 1, false);
    const auto in_upto = words_of(upto, message);
    if (words.has_value() != in_upto.has_value()) refuse(message, "ends");
    size_t from = in_upto ? in_upto->end : answer.begin;
    if (!words && !upto.bytes().starts_with(std::string_view(whole_.bytes()).substr(0, answer.begin))) {
      refuse(message, "ends");
    }
    from = std::min(from, upto.size());
    const size_t length = common_text(upto, from, whole_, answer.tail);
    const size_t end = answer.tail + length;
    if (from + length < upto.size() && length > 0 && !ends_a_run(whole_, end)) refuse(message, "ends");
    return without_space(whole_.bytes(), answer.tail, end);
  }

  const ChatTemplate& template_;
  const Chat& chat_;
  const Text& whole_;
};

std::vector<Answer> marked_answers(const ChatTemplate& chat_template, const Text& whole,
                                   const std::vector<size_t>& messages) {
  std::vector<Extent> marked;
  size_t begin = 0;
  for (const Run& run : whole.runs()) {
    if (run.generated && !marked.empty() && marked.back().end == begin) {
      marked.back().end = run.end;
    } else if (run.generated) {
      marked.push_back({begin, run.end});
    }
    begin = run.end;
  }
  if (marked.size() != messages.size()) {
    throw DataError("the chat template (" + chat_template.name() + ") marks " + std::to_string(marked.size()) +
                    " answers with {% generation %}, and the conversation has " + std::to_string(messages.size()));
  }
  std::vector<Answer> answers;
  for (size_t i = 0; i < marked.size(); ++i) {
    const auto words = words_of(whole, messages[i]);
    if (words && (words->begin < marked[i].begin || words->end > marked[i].end)) {
      throw DataError("messages[" + std::to_string(messages[i]) + "]: the chat template (" + chat_template.name() +
                      ") writes this answer outside of {% generation %} too");
    }
    const size_t tail = words ? words->end : marked[i].begin;
    answers.push_back({messages[i], marked[i].begin, tail, without_space(whole.bytes(), tail, marked[i].end)});
  }
  return answers;
}

}  // namespace

std::vector<Answer> find_answers(const ChatTemplate& chat_template, const Chat& chat, const Text& whole) {
  std::vector<size_t> messages;
  for (size_t i = 0; i < chat.messages.size(); ++i) {
    if (chat.messages[i].role() == "assistant") messages.push_back(i);
  }
  if (chat_template.marks_answers(chat)) return marked_answers(chat_template, whole, messages);
  const Finder finder(chat_template, chat, whole);
  std::vector<Answer> answers;
  for (const size_t message : messages) {
    answers.push_back(finder.find(message));
    const Answer& answer = answers.back();
    const size_t before = answers.size() > 1 ? answers[answers.size() - 2].end : 0;
    if (answer.begin < before || answer.tail < answer.begin || answer.end < answer.tail) {
      throw DataError("messages[" + std::to_string(message) + "]: the chat template (" + chat_template.name() +
                      ") does not write the answers one after the other");
    }
  }
  return answers;
}

}  // namespace lora
