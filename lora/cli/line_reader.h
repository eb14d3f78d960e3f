#pragma once
// Lines of a conversation: at a terminal with a prompt sign and, where libedit was found at build, with editing and a
// history; else those of standard input, as they are.

#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>

#ifdef LORA_EDIT
#include <editline/readline.h>
#endif

namespace lora {

class LineReader {
 public:
  // `at_terminal`: a person types; the prompt sign is for such a one alone.
  LineReader() : at_terminal_(isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0) {
    std::setlocale(LC_CTYPE, "C.UTF-8");  // libedit drops what its locale does not have; ours is text in UTF-8
  }

  bool at_terminal() const { return at_terminal_; }

  // The next line; none at the end of the input. A signal that sets `interrupted` drops what was typed.
  std::optional<std::string> next(volatile std::sig_atomic_t& interrupted) {
    interrupted = 0;
#ifdef LORA_EDIT
    if (at_terminal_) {
      char* typed = nullptr;
      while (!(typed = readline("> "))) {
        std::puts("");
        if (interrupted == 0) return std::nullopt;
        interrupted = 0;
      }
      const std::string line = typed;
      std::free(typed);
      if (line.find_first_not_of(' ') != std::string::npos) add_history(line.c_str());
      return line;
    }
#endif
    if (at_terminal_) std::cout << "> " << std::flush;
    std::string line;
    return std::getline(std::cin, line) ? std::optional(line) : std::nullopt;
  }

 private:
  bool at_terminal_;
};

}  // namespace lora
