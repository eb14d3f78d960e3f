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
inline int report_no_memory(const std::string& program) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const char* hint = program == "lora-train" ? "; a lower training.memory_limit plans a run that needs less" : "";
  std::fprintf(stderr, "[memory] the system gives no more memory to %s, which had %ld MB at its peak%s\n",
               program.c_str(), usage.ru_maxrss / 1024, hint);
  return static_cast<int>(ExitCode::kModel);
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
        const int code = report_no_memory(name);
        std::fflush(stderr);
        ::_exit(code);
      }
    } catch (...) {  // what terminates otherwise, aborts as it does without this
    }
    std::abort();
  });
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
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return static_cast<int>(e.code());
  } catch (const std::filesystem::filesystem_error& e) {  // a name of over 255 bytes, a loop of links
    const StorageError error(e.path1().string() + ": " + e.code().message());
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::ios_base::failure&) {  // a stream that the system stops in the middle
    const StorageError error("a file cannot be read to its end");
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& e) {
    if (is_out_of_memory(e)) return report_no_memory(app.get_name());
    std::fprintf(stderr, "[internal] %s: %s\n", app.get_name().c_str(), e.what());
    return 1;
  }
}

}  // namespace lora
