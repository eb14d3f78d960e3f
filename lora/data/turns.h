#pragma once
// Where the answers of a conversation stand in what a chat template makes of it.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lora/data/chat_template.h"

namespace lora {

// A run of bytes [begin, end) that stem from one part of a message.
struct MessageRun {
  size_t begin, end;
  size_t message;
  MessagePart part;
};
// In order of the text.
std::vector<MessageRun> message_runs(const jinja::Text& text);

// True if the text is empty or white space alone.
bool only_blanks(std::string_view text);

// One turn in the rendering of a whole conversation. The model writes [begin, end).
struct Turn {
  size_t begin;
  size_t tail;  // the end of the message's own bytes
  size_t end;   // of the template's end of the turn; equal to `tail` if there is none or it cannot be told
};

// Finds turns of assistants by rendering parts of the conversation.
//   A turn begins where the prompt for it ends: the messages before it with a generation prompt. The rendering of the
// whole conversation must have that prompt before the message's own bytes, or at least what follows the last data in
// it: templates may move a system message or drop old reasoning. Where prompt and rendering part before the prompt's
// end, for example at <think>, the turn begins there; where they part at once and the rendering has the header there
// that the prompt for another answer ends with, behind that header.
//   A turn ends where its own text ends: what follows the message's bytes where the conversation ends with this message
// and is also there in the whole. Where nothing is, it ends before the next message's header. Text that the template
// writes at the end of every conversation is not of the turn, except EOS. White space at the end is not of it either,
// because a model never writes it.
class TurnFinder {
 public:
  // `whole` is the rendering of all of `chat` without a generation prompt. All arguments must outlive it.
  TurnFinder(const ChatTemplate& chat_template, const Chat& chat, const jinja::Text& whole)
      : template_(chat_template), chat_(chat), whole_(whole), runs_(message_runs(whole)) {}

  // One turn, or where the template writes the words of a call behind its results, another with these. Throws DataError
  // if the begin cannot be told, and with what the template has against the messages.
  std::vector<Turn> find(size_t message);

  // The number of bytes behind the last turn that the template writes at the end of every conversation, for example a
  // generation prompt that was not asked for.
  size_t closing();

 private:
  size_t begin(size_t message);
  // The length of the header that `text`, up to the next data, begins with: what the prompt for the first answer of an
  // assistant ends with, behind all data. Unless that data is the answer's own (`has_data`), the end of the turn follows
  // the header. 0: the text does not begin with one.
  size_t header_length(std::string_view text, bool has_data);
  // The place in `whole_` of the byte that is at `data_end` in the prompt, behind the same data; at most `before`.
  std::optional<size_t> place_of_prompt(size_t data_end, size_t before) const;

  Turn turn(size_t message, size_t begin);
  // The words of a message of which none stands before `from`, with the end of the turn; nothing if it has no words.
  std::optional<Turn> words_behind(size_t message, size_t from) const;
  std::vector<MessageRun> own_runs(size_t message, size_t begin, size_t end) const;
  // The end of the last of `ours`, runs of one message in `whole_`, that is in `other` too, of which `theirs` are.
  size_t same_data_end(const std::vector<MessageRun>& theirs, const jinja::Text& other, size_t begin,
                       const std::vector<MessageRun>& ours) const;
  // From `begin` on: the end of the text that `other` has from `in_other` on, of the same literals, not cut.
  size_t same_literals_end(const jinja::Text& other, size_t in_other, size_t begin, size_t bound) const;

  // The end of a turn that ends at `end` where the conversation ends with it: behind that, the template may write more
  // whoever speaks next, which is not of the header of `next`, the first data of another message.
  size_t end_for_all(size_t message, size_t tail, size_t end, const MessageRun& next) const;
  // The begin of the template's header of a message, of which the first byte of data is at `data`: as far as another
  // message of the same role that follows no answer has the same. Not before `least`.
  std::optional<size_t> header_begin(size_t message, size_t data, size_t least) const;

  // Nothing if the template refuses it.
  std::optional<jinja::Text> rendered(const Chat& chat, size_t count, bool add_generation_prompt) const;
  size_t find_closing() const;

  const ChatTemplate& template_;
  const Chat& chat_;
  const jinja::Text& whole_;
  const std::vector<MessageRun> runs_;
  jinja::Text prompt_;                       // of the last turn; empty for the first message
  std::optional<size_t> closing_;            // find_closing()
  std::optional<std::string> first_header_;  // of header_length()
};

}  // namespace lora
