#pragma once
// What every program's main shares: command line in, exit code out.

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <ios>
#include <string>
#include <vector>

#include "models/base/error.h"
#include "models/base/mapped_file.h"
#include "models/base/out_of_memory.h"

namespace lora {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 2 usage or recipe, 3 data, 4 model or tokenizer, 5 storage, 6 numerics (non-finite),\n"
    "7 distributed, 130/143 stopped by SIGINT/SIGTERM after a checkpoint.";

// For programs that read adapters: see read_peft_config() in lora/adapters/peft.h.
inline void add_ignore_option(CLI::App& app, std::vector<std::string>& keys) {
  app.add_option("--ignore-option", keys,
                 "A key of adapter_config.json that is not known and that changes nothing; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
}

// What a run needs is planned: training.memory_limit is the one key that every plan follows.
inline Failure no_memory(const std::string& program) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const char* hint = program == "lora-train" ? "; a lower training.memory_limit plans a run that needs less" : "";
  return {static_cast<int>(ExitCode::kModel), "[memory] the system gives no more memory to " + program +
                                                  ", which had " + std::to_string(usage.ru_maxrss / 1024) +
                                                  " MB at its peak" + hint};
}

// Where memory runs out in a function that cannot throw, a destructor of a library, the process ends by the same message.
inline void report_memory_at_the_end(const std::string& program) {
  static std::string name;
  name = program;
  std::set_terminate([] {
    try {
      if (const auto error = std::current_exception()) std::rethrow_exception(error);
    } catch (const std::exception& e) {
      if (is_out_of_memory(e)) {
        const Failure failure = no_memory(name);
        std::fprintf(stderr, "%s\n", failure.message.c_str());
        std::fflush(stderr);
        ::_exit(failure.code);
      }
    } catch (...) {  // what terminates otherwise, aborts as it does without this
    }
    std::abort();
  });
}

// The exception that is being handled, as one message and an exit code.
inline Failure failure_of_exception(const std::string& program) {
  const auto of = [](const Error& error) { return Failure{static_cast<int>(error.code()), error.what()}; };
  try {
    throw;
  } catch (const Error& e) {
    return of(e);
  } catch (const std::filesystem::filesystem_error& e) {  // a name of over 255 bytes, a loop of links
    return of(StorageError(e.path1().string() + ": " + e.code().message()));
  } catch (const std::ios_base::failure&) {  // a stream that the system stops in the middle
    return of(StorageError("a file cannot be read to its end"));
  } catch (const std::exception& e) {
    if (is_out_of_memory(e)) return no_memory(program);
    return {1, "[internal] " + program + ": " + e.what()};
  }
}

// Parses the command line, then runs `body` and turns what it throws into one message on stderr and an exit code.
inline int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  app.footer(kExitCodes);
  app.set_version_flag("--version", std::string(app.get_name()) + " " + LORA_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : static_cast<int>(ExitCode::kRecipe);
  }
  // A file-size limit is an error like any other failed write, not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  report_lost_pages();
  report_memory_at_the_end(app.get_name());
  ::umask(::umask(0) | S_IWOTH);  // no file that everyone may write
  try {
    return body();
  } catch (...) {
    const Failure failure = failure_of_exception(app.get_name());
    std::fprintf(stderr, "%s\n", failure.message.c_str());
    return failure.code;
  }
}

}  // namespace lora
