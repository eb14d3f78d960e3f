#pragma once
// Finds the bytes of a rendered conversation that the model is trained to write.

#include <cstddef>
#include <vector>

#include "lora/data/chat_template.h"

namespace lora {

// The rendering of one assistant message, or a part of it: its own text, then from `tail` on the template's end of the
// turn. A part that is not the last has no such end.
struct Answer {
  size_t message;
  size_t begin, tail, end;
  bool last = true;  // of its message
};

// These assistant messages of `chat`, in order, in `whole`: the rendering of all of `chat` without a generation prompt.
// If the template has {% generation %}, its marks are the answers, several for one message if it has several, without
// the white space at the end of the last. Otherwise they are the turns that TurnFinder (turns.h) finds.
//   Throws DataError if a begin cannot be told, if the template marks nothing of an answer or writes the answers in
// another order, if one mark has two answers of which only one is asked for, and, without marks, where the messages up
// to each answer are more than a million to render together.
std::vector<Answer> find_answers(const ChatTemplate& chat_template, const Chat& chat, const jinja::Text& whole,
                                 const std::vector<size_t>& messages);

}  // namespace lora
