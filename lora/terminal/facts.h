#pragma once
// Facts for people, a line each, and commands for them to copy.

#include <string>
#include <utility>
#include <vector>

#include "lora/terminal/console.h"

namespace lora {

// "Model       TEXT\n": the name, and from column 12 on the text. On a terminal a text that is too wide is folded,
// with all its lines at that column; elsewhere it is one line, for grep. A line end in the text begins a line like those.
// Without a name: more about the fact before.
std::string fact(const std::string& name, const std::string& text, const Console& shown = console());

// Names and texts; and each as fact() has it.
using Facts = std::vector<std::pair<std::string, std::string>>;
std::string facts_text(const Facts& facts, const Console& shown = console());

// A line without a name. On a terminal it is folded where it is too wide.
std::string sentence(const std::string& text, const Console& shown = console());

// "Try it: lora-generate runs/mine\n": a command, in words of a shell. Where it is too wide for the terminal, it stands
// below, in lines that end with a backslash: copied they are the command again. No word is cut.
std::string command_to_copy(const std::string& before, const std::vector<std::string>& words,
                            const Console& shown = console());

}  // namespace lora
