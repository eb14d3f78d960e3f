#pragma once
// Finds the bytes of a rendered conversation that the model is trained to write.

#include <cstddef>
#include <vector>

#include "lora/data/chat_template.h"
#include "lora/data/encode_options.h"

namespace lora {

// The rendering of one assistant message: its own text, then from `tail` on the template's end of the turn.
struct Answer {
  size_t message;
  size_t begin, tail, end;
};

// The assistant messages of `chat`, in order, in `whole`: the rendering of all of `chat` without a generation prompt.
// An answer begins where the generation prompt of the previous messages ends. It ends with the template's end of the
// turn, without the white space after it, which a model never writes.
//   If the template has {% generation %}, its marks give the answers. Otherwise two prefixes are rendered: the messages
// before the answer with a generation prompt, and the messages up to the answer without one. `whole` must begin with
// the first, or must have it before the answer's words (templates may move a system message or drop old reasoning). The
// text after the words in the second is the end of the turn, as far as `whole` has it there from the same template
// literals.
//   Throws DataError if these disagree, because the mask would be a guess.
std::vector<Answer> find_answers(const ChatTemplate& chat_template, const Chat& chat, const jinja::Text& whole);

}  // namespace lora
