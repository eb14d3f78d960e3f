#include "lora/terminal/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

namespace lora {
namespace {

std::atomic<bool> may_be_terminal{true};

Console console_of(std::FILE* file, int descriptor) {
  if (!may_be_terminal || isatty(descriptor) == 0) return {.file = file};
  const char* const terminal = std::getenv("TERM");
  const char* const no_colour = std::getenv("NO_COLOR");
  const bool capable = terminal && *terminal && std::string(terminal) != "dumb";
  winsize size{};
  const bool known = ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return {capable, capable && !(no_colour && *no_colour), known ? size.ws_col : 80, file};
}

}  // namespace

Console console() { return console_of(stdout, STDOUT_FILENO); }

Console error_console() { return console_of(stderr, STDERR_FILENO); }

void expect_no_terminal() { may_be_terminal = false; }

}  // namespace lora
