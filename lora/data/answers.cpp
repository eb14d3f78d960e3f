#include "lora/data/answers.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "lora/data/turns.h"
#include "models/base/error.h"

namespace lora {
namespace {

using jinja::Run;
using jinja::Text;

// 700 answers in 1,400 messages take 4 seconds.
constexpr size_t kMostRendered = 1'000'000;

struct Mark {
  size_t begin, end;
};

std::vector<Mark> marks_of(const Text& text) {
  std::vector<Mark> marks;
  size_t begin = 0;
  for (const Run& run : text.runs()) {
    if (run.generated && !marks.empty() && marks.back().end == begin) {
      marks.back().end = run.end;
    } else if (run.generated) {
      marks.push_back({begin, run.end});
    }
    begin = run.end;
  }
  return marks;
}

class MarkedAnswers {
 public:
  MarkedAnswers(const ChatTemplate& chat_template, const Chat& chat, const Text& whole)
      : template_(chat_template), chat_(chat), whole_(whole), runs_(message_runs(whole)) {}

  std::vector<Answer> find(const std::vector<size_t>& messages) const {
    std::vector<Answer> answers;
    std::vector<bool> found(chat_.messages.size()), asked_for(chat_.messages.size());
    for (const size_t message : messages) asked_for[message] = true;
    const std::vector<Mark> marks = marks_of(whole_);
    std::vector<size_t> all;
    for (size_t i = 0; i < chat_.messages.size(); ++i) {
      if (is_answer(i)) all.push_back(i);
    }
    for (size_t i = 0; i < marks.size(); ++i) {
      const Mark& mark = marks[i];
      std::vector<size_t> inside = messages_in(mark);
      if (inside.empty()) inside = {marks.size() == all.size() ? all[i] : beside(mark)};
      if (inside.front() >= chat_.messages.size()) continue;  // of no answer
      const auto asked = std::ranges::count_if(inside, [&](size_t m) { return asked_for[m]; });
      if (asked == 0) continue;
      if (static_cast<size_t>(asked) < inside.size()) {
        refuse(inside.back(), "marks this answer and another, of which one is not trained, as one {% generation %}");
      }
      for (const size_t message : inside) found[message] = true;
      const size_t message = inside.back();
      if (!answers.empty() && answers.back().message == message) answers.back().last = false;
      answers.push_back({message, mark.begin, tail(mark, message), mark.end});
    }
    for (const size_t message : messages) {
      if (!found[message]) {
        refuse(message, "marks nothing of this answer with {% generation %}; train_on: last_turn takes the last alone");
      }
    }
    for (Answer& answer : answers) {
      if (answer.last) {
        const std::string_view end = std::string_view(whole_.bytes()).substr(answer.tail, answer.end - answer.tail);
        answer.end = answer.tail + end.find_last_not_of(" \n\t\r") + 1;
      } else {
        answer.tail = answer.end;
      }
    }
    return answers;
  }

 private:
  [[noreturn]] void refuse(size_t message, const std::string& what) const {
    throw DataError("messages[" + std::to_string(message) + "]: the chat template (" + template_.name() + ") " + what);
  }

  bool is_answer(size_t message) const { return chat_.messages[message].role() == "assistant"; }

  // The answers whose bytes are in the mark.
  std::vector<size_t> messages_in(const Mark& mark) const {
    std::vector<size_t> inside;
    for (const MessageRun& run : runs_in(mark)) {
      if (is_answer(run.message) && std::ranges::count(inside, run.message) == 0) inside.push_back(run.message);
    }
    return inside;
  }

  std::span<const MessageRun> runs_in(const Mark& mark) const {
    const auto first = std::ranges::lower_bound(runs_, mark.begin, {}, &MessageRun::begin);
    return {first, std::max(first, std::ranges::upper_bound(runs_, mark.end, {}, &MessageRun::end))};
  }

  // The answer that a mark without bytes of any follows, or else precedes.
  size_t beside(const Mark& mark) const {
    const auto after = std::ranges::upper_bound(runs_, mark.begin, {}, &MessageRun::end);
    size_t message = after == runs_.begin() ? 0 : std::prev(after)->message;
    while (message < chat_.messages.size() && !is_answer(message)) ++message;
    return message;
  }

  size_t tail(const Mark& mark, size_t message) const {
    size_t end = mark.begin;
    for (const MessageRun& run : runs_in(mark)) {
      if (run.message == message) end = run.end;
    }
    return end;
  }

  const ChatTemplate& template_;
  const Chat& chat_;
  const Text& whole_;
  const std::vector<MessageRun> runs_;
};

}  // namespace

std::vector<Answer> find_answers(const ChatTemplate& chat_template, const Chat& chat, const Text& whole,
                                 const std::vector<size_t>& messages) {
  if (messages.empty()) return {};
  if (chat_template.marks_answers(chat)) return MarkedAnswers(chat_template, chat, whole).find(messages);
  if (messages.size() * chat.messages.size() > kMostRendered) {
    throw DataError("messages: " + std::to_string(messages.size()) + " answers in " +
                    std::to_string(chat.messages.size()) + " messages; the chat template (" + chat_template.name() +
                    ") is rendered up to each answer to find it, which takes at most " + std::to_string(kMostRendered) +
                    " messages together; expected a shorter conversation, a template with {% generation %} around " +
                    "answers, or train_on: all or last_turn");
  }
  TurnFinder turns(chat_template, chat, whole);
  std::vector<Answer> answers;
  for (const size_t message : messages) {
    for (const Turn& turn : turns.find(message)) {
      const size_t before = answers.empty() ? 0 : answers.back().end;
      if (turn.begin < before || turn.tail < turn.begin || turn.end < turn.tail) {
        throw DataError("messages[" + std::to_string(message) + "]: the chat template (" + chat_template.name() +
                        ") does not write the answers one after the other");
      }
      if (!answers.empty() && answers.back().message == message) {
        answers.back().last = false;
        answers.back().tail = answers.back().end;
      }
      answers.push_back({message, turn.begin, turn.tail, turn.end});
    }
  }
  return answers;
}

}  // namespace lora
