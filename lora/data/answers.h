#pragma once
// Which bytes of a rendered conversation the model is to learn to write.

#include <cstddef>
#include <vector>

#include "lora/data/chat_template.h"
#include "lora/data/encode_options.h"

namespace lora {

// What one assistant message became: its words, and from `tail` on what the template ends it with.
struct Answer {
  size_t message;
  size_t begin, tail, end;
};

// The assistant's messages in a rendering `whole` of all of `chat`, without a generation prompt, in order. An answer
// begins where the generation prompt of the messages before it ends, and ends with what the template writes to end a
// turn, but for white space behind that, which a model never gets to write.
//   Where the template has {% generation %}, its marks say where answers are. Elsewhere the messages up to the answer
// are rendered with a generation prompt, and with the answer without one: the first has to be what `whole` begins with,
// or what it has in front of this answer's words (templates move a system message, or drop old reasoning); what the
// second has behind the words is the end, as far as `whole` has it there from the same places of the template.
//   Throws DataError where these do not agree: the mask would be a guess.
std::vector<Answer> find_answers(const ChatTemplate& chat_template, const Chat& chat, const jinja::Text& whole);

}  // namespace lora
