#include "lora/data/turns.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "models/base/error.h"

namespace lora {
namespace {

using jinja::Run;
using jinja::Text;

constexpr std::string_view kBlanks = " \n\t\r";

std::string_view without_blanks(std::string_view text) {
  if (only_blanks(text)) return {};
  const size_t begin = text.find_first_not_of(kBlanks);
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

std::string_view without_last_blanks(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

size_t common_begin(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

// The length of the common begin of the texts from these positions on: equal bytes with equal origins.
size_t common_begin(const Text& a, size_t in_a, const Text& b, size_t in_b) {
  const size_t bytes = common_begin(std::string_view(a.bytes()).substr(in_a), std::string_view(b.bytes()).substr(in_b));
  size_t same = 0;
  while (same < bytes && a.origin_at(in_a + same) == b.origin_at(in_b + same)) ++same;
  return same;
}

// The length of the common end of the texts up to these positions, likewise.
size_t common_end(const Text& a, size_t end_a, const Text& b, size_t end_b) {
  const size_t most = std::min(end_a, end_b);
  size_t same = 0;
  while (same < most) {
    const size_t in_a = end_a - same - 1, in_b = end_b - same - 1;
    if (a.bytes()[in_a] != b.bytes()[in_b] || a.origin_at(in_a) != b.origin_at(in_b)) break;
    ++same;
  }
  return same;
}

size_t common_end(const Text& a, const Text& b) { return common_end(a, a.size(), b, b.size()); }

// The end of the bytes of `part` in `text` from `begin` on, if it has them there but for white space.
std::optional<size_t> end_of_same(std::string_view text, size_t begin, std::string_view part) {
  for (const char c : part) {
    if (only_blanks({&c, 1})) continue;
    begin = text.find_first_not_of(kBlanks, begin);
    if (begin == std::string_view::npos || text[begin] != c) return std::nullopt;
    ++begin;
  }
  return begin;
}

// The longest begin of `text`, of at most `length` bytes, that cuts no name of a special token: it ends behind white
// space or a closing bracket.
size_t uncut(std::string_view text, size_t length) {
  const size_t last = text.substr(0, length).find_last_of("> ]\n\t\r");
  return last == std::string_view::npos ? 0 : last + 1;
}

// True if the texts are equal, but for what a template may have trimmed from one of them.
bool alike(std::string_view a, std::string_view b) {
  a = without_blanks(a);
  b = without_blanks(b);
  if (a.empty() || b.empty()) return a == b;
  return a.starts_with(b) || b.starts_with(a) || a.ends_with(b) || b.ends_with(a);
}

std::string_view run_bytes(const Text& text, const MessageRun& run) {
  return std::string_view(text.bytes()).substr(run.begin, run.end - run.begin);
}

std::vector<MessageRun> runs_of(const Text& text, size_t message) {
  std::vector<MessageRun> runs = message_runs(text);
  std::erase_if(runs, [&](const MessageRun& run) { return run.message != message; });
  return runs;
}

// The end of the last byte that is data: of a message or of the tools.
size_t data_end_of(const Text& text) {
  size_t end = 0;
  for (const Run& run : text.runs()) {
    if (run.origin > 0) end = run.end;
  }
  return end;
}

// Moves `end` back to the end of a run, but not before `least`.
size_t back_to_run(const Text& text, size_t least, size_t end) {
  const auto after = std::ranges::upper_bound(text.runs(), end, {}, &Run::end);
  return after == text.runs().begin() ? least : std::max(least, std::prev(after)->end);
}

}  // namespace

std::vector<MessageRun> message_runs(const Text& text) {
  std::vector<MessageRun> runs;
  size_t begin = 0;
  for (const Run& run : text.runs()) {
    if (ChatTemplate::is_message(run.origin)) {
      runs.push_back({begin, run.end, ChatTemplate::message_of(run.origin), ChatTemplate::part_of(run.origin)});
    }
    begin = run.end;
  }
  return runs;
}

bool only_blanks(std::string_view text) { return text.find_first_not_of(kBlanks) == std::string_view::npos; }

std::vector<Turn> TurnFinder::find(size_t message) {
  prompt_ = message > 0 ? template_.render(chat_, message, true) : Text();
  Turn found = turn(message, begin(message));
  const std::string_view ending = std::string_view(whole_.bytes()).substr(found.tail, found.end - found.tail);
  found.end = found.tail + without_last_blanks(ending).size();
  std::vector<Turn> turns{found};
  if (const std::optional<Turn> words = words_behind(message, found.end)) turns.push_back(*words);
  return turns;
}

std::optional<Turn> TurnFinder::words_behind(size_t message, size_t from) const {
  const auto is_words = [&](const MessageRun& run) {
    return run.message == message && run.part == MessagePart::kContent;
  };
  const auto first = std::ranges::find_if(runs_, is_words);
  if (first == runs_.end() || first->begin < from) return std::nullopt;
  const auto next = std::ranges::find_if(first, runs_.end(), [&](const MessageRun& run) { return !is_words(run); });
  const size_t tail = std::prev(next)->end, bound = next == runs_.end() ? whole_.size() : next->begin;
  size_t last = message;
  for (auto run = runs_.begin(); run != first; ++run) last = std::max(last, run->message);
  Turn turn{first->begin, tail, tail};
  const std::optional<Text> upto = rendered(chat_, last + 1, false);
  if (!upto) return turn;
  const std::vector<MessageRun> theirs = runs_of(*upto, message);
  if (theirs.empty() || !is_words(theirs.back())) return turn;
  const auto ending = without_last_blanks(std::string_view(upto->bytes()).substr(theirs.back().end));
  const auto end = only_blanks(ending) ? std::nullopt : end_of_same(whole_.bytes(), tail, ending);
  if (end && *end <= bound) turn.end = *end;
  return turn;
}

size_t TurnFinder::closing() {
  if (!closing_) {
    if (prompt_.empty() && chat_.messages.size() > 1) {
      prompt_ = rendered(chat_, chat_.messages.size() - 1, true).value_or(Text());
    }
    closing_ = find_closing();
  }
  return *closing_;
}

std::vector<MessageRun> TurnFinder::own_runs(size_t message, size_t begin, size_t end) const {
  std::vector<MessageRun> own;
  std::ranges::copy_if(runs_, std::back_inserter(own), [&](const MessageRun& run) {
    return run.message == message && run.begin >= begin && run.end <= end;
  });
  return own;
}

size_t TurnFinder::begin(size_t message) {
  const auto own = std::ranges::find(runs_, message, &MessageRun::message);
  const bool has_data = own != runs_.end();
  const auto refuse = [&] {
    throw DataError("messages[" + std::to_string(message) + "]: cannot tell where this answer begins " +
                    "in what the chat template makes of the conversation (" + template_.name() +
                    "); a template with {% generation %} around answers says it, as does train_on: all");
  };
  if (message == 0) {  // no message before it to render
    if (!has_data) refuse();
    return own->begin;
  }
  const std::string_view whole = whole_.bytes(), prompt = prompt_.bytes();
  const size_t first = has_data ? own->begin : whole.size();
  const size_t same = common_begin(prompt, whole);
  const auto up_to_data = [&](size_t from) {
    size_t limit = first;
    for (const MessageRun& run : runs_) {
      if (run.begin >= from) limit = std::min(limit, run.begin);
    }
    return whole.substr(from, limit - from);
  };
  if (same == prompt.size() && same <= first) return same + header_length(up_to_data(same), has_data);
  // Templates may move the system message or the tools, and drop old reasoning: what follows the last data is compared.
  const size_t data_end = data_end_of(prompt_);
  const auto place = same >= data_end ? data_end : place_of_prompt(data_end, first);
  if (!place || *place > first) refuse();
  const std::string_view header = prompt.substr(data_end), between = up_to_data(*place);
  const size_t common = common_begin(header, between);
  if (common == header.size()) return *place + common + header_length(between.substr(common), has_data);
  // The prompt begins the answer itself, for example with <think>, and this answer does not have that text.
  if (has_data && common == between.size()) return first;
  const size_t parted = uncut(header, common);
  if (parted == 0) {
    // The template writes the end of the previous turn for a prompt alone: what follows that may be the same.
    for (const Run& run : prompt_.runs()) {
      if (run.end < data_end) continue;
      const std::string_view last = prompt.substr(run.end);
      if (!only_blanks(last) && between.starts_with(last)) return *place + last.size();
    }
    // The prompt for this answer ends otherwise, but the whole has the header that other answers have.
    if (has_data && *place + between.size() == first && header_length(between, has_data) == between.size()) {
      return first;
    }
    refuse();
  }
  return *place + parted + header_length(between.substr(parted), has_data);
}

size_t TurnFinder::header_length(std::string_view text, bool has_data) {
  if (only_blanks(text)) return 0;
  if (!first_header_) {
    const auto first = std::ranges::find(chat_.messages, "assistant", &ChatMessage::role);
    const auto count = static_cast<size_t>(first - chat_.messages.begin());
    const auto prompt = count == 0 || count == chat_.messages.size() ? std::nullopt : rendered(chat_, count, true);
    first_header_ = prompt ? prompt->bytes().substr(data_end_of(*prompt)) : "";
  }
  const std::string_view header = *first_header_;
  const size_t most = has_data ? text.size() : text.size() - 1;
  for (size_t length = std::min(most, header.size()); !only_blanks(text.substr(0, length)); --length) {
    if (uncut(text, length) == length && header.ends_with(text.substr(0, length))) return length;
  }
  return 0;
}

std::optional<size_t> TurnFinder::place_of_prompt(size_t data_end, size_t before) const {
  const jinja::Origin origin = prompt_.origin_at(data_end - 1);
  std::optional<size_t> place;
  size_t longest = 0;
  for (const Run& run : whole_.runs()) {
    if (run.origin != origin || run.end > before) continue;
    size_t same = 0;
    while (same < data_end && same < run.end &&
           prompt_.bytes()[data_end - same - 1] == whole_.bytes()[run.end - same - 1]) {
      ++same;
    }
    if (place && same < longest) continue;
    place = run.end;
    longest = same;
  }
  return place;
}

size_t TurnFinder::same_data_end(const std::vector<MessageRun>& theirs, const Text& other, size_t begin,
                                 const std::vector<MessageRun>& ours) const {
  std::optional<size_t> end;
  size_t next = 0;
  for (const MessageRun& run : theirs) {
    for (size_t i = next; i < ours.size(); ++i) {
      if (ours[i].part != run.part || !alike(run_bytes(whole_, ours[i]), run_bytes(other, run))) continue;
      end = ours[i].end;
      next = i + 1;
      break;
    }
  }
  if (end) return *end;
  return ours.empty() ? begin : ours.front().end;
}

size_t TurnFinder::same_literals_end(const Text& other, size_t in_other, size_t begin, size_t bound) const {
  const size_t same = common_begin(other, in_other, whole_, begin);
  if (same <= bound - begin && in_other + same == other.size()) return begin + same;
  return back_to_run(whole_, begin, begin + std::min(same, bound - begin));
}

Turn TurnFinder::turn(size_t message, size_t begin) {
  const size_t closing_bytes = closing();
  const std::string_view whole = whole_.bytes();
  const auto later =
      std::ranges::find_if(runs_, [&](const MessageRun& run) { return run.message > message && run.begin >= begin; });
  size_t bound = later == runs_.end() ? whole.size() : later->begin;
  size_t run_begin = 0;
  for (const Run& run : whole_.runs()) {  // tools may stand before that message
    if (run.origin == ChatTemplate::kToolsOrigin && run_begin >= begin) bound = std::min(bound, run_begin);
    run_begin = run.end;
  }
  const std::vector<MessageRun> ours = own_runs(message, begin, bound);
  if (message + 1 == chat_.messages.size()) {
    const size_t tail = ours.empty() ? begin : ours.back().end;
    return {begin, tail, std::max(tail, whole.size() - closing_bytes)};
  }

  // The conversation as it ends with this message.
  Text upto = template_.render(chat_, message + 1, false);
  if (closing_bytes > 0 && common_end(upto, whole_) >= closing_bytes) upto = upto.part(0, upto.size() - closing_bytes);
  std::vector<MessageRun> theirs = runs_of(upto, message);
  size_t from = same_data_end(theirs, upto, begin, ours), in_upto = upto.size();
  // Words that the whole has behind another's message (words_behind) are not of this turn.
  while (!ours.empty() && !theirs.empty() && std::ranges::count(ours, theirs.back().part, &MessageRun::part) == 0) {
    theirs.pop_back();
  }
  if (!theirs.empty()) {
    in_upto = theirs.back().end;
    const std::string_view turn_text = std::string_view(upto.bytes()).substr(theirs.front().begin);
    if (!ours.empty() && whole.substr(ours.front().begin).starts_with(turn_text)) {
      from = ours.front().begin + in_upto - theirs.front().begin;
    }
  } else if (upto.bytes().starts_with(whole.substr(0, begin))) {
    in_upto = begin;
  } else if (!prompt_.empty() && upto.bytes().starts_with(prompt_.bytes())) {
    in_upto = prompt_.size();
  }
  // Another place in the template may write the same end.
  const std::string_view ending = without_last_blanks(std::string_view(upto.bytes()).substr(in_upto));
  for (size_t at = only_blanks(ending) ? std::string::npos : whole.find(ending, from);
       at != std::string::npos && at + ending.size() <= bound; at = whole.find(ending, at + 1)) {
    if (whole_.origin_at(at) > 0) continue;
    size_t tail = from;
    for (const MessageRun& run : ours) {
      if (run.end <= at) tail = std::max(tail, run.end);
    }
    const size_t end = at + ending.size();
    return {begin, tail, later == runs_.end() ? end : end_for_all(message, tail, end, *later)};
  }
  const auto ends_at = [&](std::optional<size_t> end) {
    return end && *end <= bound && !only_blanks(whole.substr(from, *end - from));
  };
  std::optional<size_t> end = end_of_same(whole, from, ending);
  if (!ends_at(end)) end = same_literals_end(upto, in_upto, from, bound);
  // The template may end the last message in a way of its own, but not when an answer is to follow.
  if (const auto next = ends_at(end) ? std::nullopt : rendered(chat_, message + 1, true)) {
    theirs = runs_of(*next, message);
    const size_t same = same_data_end(theirs, *next, begin, ours);
    if (!theirs.empty() && same >= from) {
      from = same;
      end = same_literals_end(*next, theirs.back().end, from, bound);
    }
  }
  if (!ends_at(end) && later != runs_.end()) end = header_begin(later->message, bound, from);
  return {begin, from, ends_at(end) ? *end : from};
}

size_t TurnFinder::end_for_all(size_t message, size_t tail, size_t end, const MessageRun& next) const {
  if (next.message != message + 1 || only_blanks(std::string_view(whole_.bytes()).substr(end, next.begin - end))) {
    return end;
  }
  // The next message's header, as it is where no answer is before it.
  Chat without = chat_;
  without.messages.erase(without.messages.begin() + static_cast<std::ptrdiff_t>(message));
  const std::optional<Text> alone = rendered(without, message + 1, false);
  const std::vector<MessageRun> same = alone ? runs_of(*alone, message) : std::vector<MessageRun>();
  if (same.empty()) return end;
  const size_t header = common_end(whole_, next.begin, *alone, same.front().begin);
  // What stands behind the answer before the words of another speaker.
  Chat other = chat_;
  other.messages.resize(message + 1);
  other.messages.push_back(chat_message(chat_.messages[message + 1].role() == "user" ? "assistant" : "user", "?"));
  const std::optional<Text> before_other = rendered(other, other.messages.size(), false);
  const std::vector<MessageRun> ours = before_other ? runs_of(*before_other, message) : std::vector<MessageRun>();
  if (ours.empty() || header >= next.begin - end) return end;
  const size_t found = same_literals_end(*before_other, ours.back().end, tail, next.begin - header);
  return std::max(end, found);
}

std::optional<size_t> TurnFinder::header_begin(size_t message, size_t data, size_t least) const {
  const auto& messages = chat_.messages;
  for (size_t i = 0; i < message; ++i) {
    if (messages[i].role() != messages[message].role() || (i > 0 && messages[i - 1].role() == "assistant")) continue;
    const auto first = std::ranges::find(runs_, i, &MessageRun::message);
    if (first == runs_.end()) continue;
    const size_t header = common_end(whole_, first->begin, whole_, data);
    if (header <= data - least && !only_blanks(std::string_view(whole_.bytes()).substr(data - header, header))) {
      return data - header;
    }
  }
  return std::nullopt;
}

std::optional<Text> TurnFinder::rendered(const Chat& chat, size_t count, bool add_generation_prompt) const {
  try {
    return template_.render(chat, count, add_generation_prompt);
  } catch (const DataError&) {
    return std::nullopt;
  }
}

size_t TurnFinder::find_closing() const {
  if (runs_.empty() || (!prompt_.empty() && common_end(prompt_, whole_) == 0)) return 0;
  Chat longer = chat_;
  longer.messages.push_back(chat_message("user", "?"));
  const std::optional<Text> more = rendered(longer, longer.messages.size(), false);
  if (!more) return 0;
  const MessageRun& last = runs_.back();
  std::optional<size_t> in_more;
  for (const MessageRun& run : runs_of(*more, last.message)) {
    if (run.part == last.part) in_more = run.end;
  }
  if (!in_more) return 0;
  const size_t closing = whole_.size() - last.end - common_begin(whole_, last.end, *more, *in_more);
  if (common_end(whole_, *more) < closing) return 0;
  // EOS behind the whole conversation is the end of the last answer.
  size_t begin = 0;
  for (const Run& run : whole_.runs()) {
    const size_t from = std::max(begin, whole_.size() - closing);
    begin = run.end;
    if (run.end <= from || ChatTemplate::is_token(run.origin)) continue;
    if (!only_blanks(std::string_view(whole_.bytes()).substr(from, run.end - from))) return closing;
  }
  return 0;
}

}  // namespace lora
