#pragma once
// What standard output and standard error are.

#include <cstdio>

namespace lora {

struct Console {
  bool redraws = false;  // a line can be drawn again in its place
  bool colour = false;   // escape sequences for colours are understood, and wanted
  int width = 0;         // in columns; 0: lines may be as long as they are, as in a file
  std::FILE* file = stdout;
};

// Standard output: of a terminal, all of it; TERM=dumb (or none) takes back the first two, NO_COLOR the second
// (no-color.org). A file or a pipe has nothing of it.
Console console();

// Likewise standard error, where programs whose standard output is a result say how far they are.
Console error_console();

// From now on neither is a terminal, though they may look like one: as under mpirun, which passes on what it reads.
void expect_no_terminal();

}  // namespace lora
