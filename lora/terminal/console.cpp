#include "lora/terminal/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace lora {

Console console(bool is_terminal) {
  if (!is_terminal || isatty(STDOUT_FILENO) == 0) return {};
  const char* const terminal = std::getenv("TERM");
  const char* const no_colour = std::getenv("NO_COLOR");
  const bool capable = terminal && *terminal && std::string(terminal) != "dumb";
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return {capable, capable && !(no_colour && *no_colour), known ? size.ws_col : 80};
}

}  // namespace lora
