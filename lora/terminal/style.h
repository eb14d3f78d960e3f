#pragma once
// The few ways in which text stands out at a terminal, the same in all programs.

#include <string>

namespace lora {

enum class Style {
  kDim,   // what is beside the point: titles of columns, names of facts, places
  kBold,  // what it is about
  kHint,  // what to do next
  kBest,  // the best of several values
};

// The text in that style; with `colour` false the text as it is. Style last: sequences have no width, but count as text.
std::string styled(const std::string& text, Style style, bool colour);

// An error's message (see models/base/error.h), of one line or several: the component is dim, and a place in a file,
// FILE:LINE:COLUMN; what is quoted first is bold, and what to do is a hint: " (did you mean …)", or what is behind the
// last semicolon.
std::string styled_message(const std::string& message, bool colour);

}  // namespace lora
