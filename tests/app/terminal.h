#pragma once
// One of the programs at a terminal, as a person has it.

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/paths.h"
#include "tests/temporary_directory.h"

namespace lora::test {

class Terminal {
 public:
  // `environment`: variables that are set besides TERM=xterm.
  Terminal(std::vector<std::string> arguments, int columns,
           const std::vector<std::pair<std::string, std::string>>& environment = {}) {
    arguments[0] = program(arguments[0]).string();
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string cache = (files_ / "cache").string();
    winsize size{};
    size.ws_row = 40;
    size.ws_col = static_cast<unsigned short>(columns);
    pid_ = ::forkpty(&master_, nullptr, nullptr, &size);
    if (pid_ == 0) {
      ::setenv("XDG_CACHE_HOME", cache.c_str(), 1);
      ::setenv("TERM", "xterm", 1);
      ::unsetenv("NO_COLOR");
      for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  ~Terminal() { ::close(master_); }

  void type(const std::string& keys) {
    if (::write(master_, keys.data(), keys.size()) < 0) std::perror("type");
  }
  // Reads until the output has `text` (anew, after what earlier calls waited for) or the program ends; whether it has.
  bool wait_for(const std::string& text) {
    while (true) {
      if (const size_t at = output_.find(text, waited_); at != std::string::npos) {
        waited_ = at + text.size();
        return true;
      }
      if (!read_more()) return false;
    }
  }
  // The exit code; then output() is all that the program showed.
  int wait() {
    while (read_more()) {
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  const std::string& output() const { return output_; }

 private:
  bool read_more() {
    char bytes[4096];
    pollfd ready{master_, POLLIN, 0};
    if (::poll(&ready, 1, 60'000) <= 0) return false;
    const ssize_t count = ::read(master_, bytes, sizeof bytes);
    if (count <= 0) return false;  // EIO: the other side is closed
    output_.append(bytes, static_cast<size_t>(count));
    return true;
  }

  TemporaryDirectory files_;
  int master_ = -1;
  pid_t pid_ = -1;
  std::string output_;
  size_t waited_ = 0;
};

}  // namespace lora::test
