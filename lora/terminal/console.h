#pragma once
// What standard output is.

namespace lora {

struct Console {
  bool redraws = false;  // a line can be drawn again in its place
  bool colour = false;   // escape sequences for colours are understood, and wanted
  int width = 0;         // in columns; 0: lines may be as long as they are, as in a file
};

// Of a terminal, all of it; TERM=dumb (or none) takes back the first two, NO_COLOR the second (no-color.org). A file or a
// pipe has nothing of it. `is_terminal`: false where standard output may look like a terminal and is none, as mpirun's
// does.
Console console(bool is_terminal = true);

}  // namespace lora
