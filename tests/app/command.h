#pragma once
// Runs one of the programs as a person would, and keeps what it said.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/paths.h"
#include "tests/temporary_directory.h"

namespace lora::test {

struct Outcome {
  int exit_code = -1;
  std::string out, err;
};

// Variables beside those of this process.
using Environment = std::vector<std::pair<std::string, std::string>>;

// Starts `arguments[0]` (a program of this build), which reads `input`; wait() collects it.
class Command {
 public:
  explicit Command(std::vector<std::string> arguments, const std::string& input = "",
                   const Environment& environment = {}) {
    write_bytes(files_ / "in", input);
    const std::string in = (files_ / "in").string();
    arguments[0] = program(arguments[0]).string();
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string out = (files_ / "out").string(), err = (files_ / "err").string();
    const std::string cache = (files_ / "cache").string();  // nothing is left in the user's
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setenv("XDG_CACHE_HOME", cache.c_str(), 1);
      for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
      if (!std::freopen(in.c_str(), "r", stdin)) ::_exit(126);
      if (!std::freopen(out.c_str(), "w", stdout) || !std::freopen(err.c_str(), "w", stderr)) ::_exit(126);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  void send(int signal) const { ::kill(pid_, signal); }
  std::string out_so_far() const { return read_bytes(files_ / "out"); }
  std::string err_so_far() const { return read_bytes(files_ / "err"); }
  Outcome wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), read_bytes(files_ / "out"),
            read_bytes(files_ / "err")};
  }

 private:
  TemporaryDirectory files_;
  pid_t pid_;
};

inline Outcome run(std::vector<std::string> arguments, const std::string& input = "",
                   const Environment& environment = {}) {
  return Command(std::move(arguments), input, environment).wait();
}

}  // namespace lora::test
