#pragma once
// What every program's main shares: command line in, exit code out.

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <ios>
#include <new>
#include <string>
#include <vector>

#include "lora/app/about.h"
#include "lora/cli/command_line.h"
#include "lora/cli/help_texts.h"
#include "lora/terminal/console.h"
#include "lora/terminal/style.h"
#include "lora/terminal/text.h"
#include "models/base/error.h"
#include "models/base/mapped_file.h"
#include "models/base/out_of_memory.h"
#include "models/engine/devices.h"

namespace lora {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 2 usage or recipe, 3 data, 4 model or tokenizer, 5 storage, 6 numerics (non-finite), "
    "7 distributed, 130/143 stopped by SIGINT/SIGTERM after a checkpoint.";

// A command line whose --help tells the default of each option that has one, and what shells offer for its values.
struct Program : CLI::App {
  Program(const std::string& about_it, const std::string& name) : CLI::App(about_it, name) {
    option_defaults()->always_capture_default();
    formatter(folding_help());
  }
  Offers offers;
};

// Adds --version, --completion and --man, which are the same in all programs.
inline void add_common_options(Program& app) {
  app.footer(kExitCodes);
  app.set_version_flag(
      "--version", [&app] { return about(app.get_name()); }, "Version, LibTorch, instruction sets");
  app.add_option_function<std::string>(
         "--completion",
         [&app](const std::string& shell) {
           std::fputs(shell_completion(app, app.offers, shell).c_str(), stdout);
           throw CLI::Success();
         },
         "Print completions: source <(" + app.get_name() + " --completion bash)")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL");
  app.add_flag_callback(
      "--man",
      [&app] {
        std::fputs(manual_page(app, about(app.get_name()), kExitCodes).c_str(), stdout);
        throw CLI::Success();
      },
      "Print the manual page: " + app.get_name() + " --man | man -l -");
  std::vector<CLI::App*> all = app.get_subcommands([](const CLI::App*) { return true; });
  all.push_back(&app);
  for (CLI::App* one : all) {
    for (CLI::Option* option : one->get_options()) {
      if (option->get_default_str() == "[]") option->default_str("");  // of a list that is empty
    }
  }
}

// For programs that read adapters: see read_peft_config() in lora/adapters/peft.h.
inline void add_ignore_option(CLI::App& app, std::vector<std::string>& keys) {
  app.add_option("--ignore-option", keys,
                 "A key of adapter_config.json that is not known and that changes nothing; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
}

// For programs that load a model; lora-train reads model.device.
inline void add_device_option(Program& app, std::string& device, const std::string& otherwise) {
  device = otherwise;
  app.offers["--device"] = [] { return Offer{{"auto", "cpu", "cuda"}}; };
  app.add_option("--device", device, "auto, cpu, cuda or cuda:N; auto: a GPU with room for the model, else the CPU")
      ->check([](const std::string& name) { return device_name_problem(name); })
      ->capture_default_str();
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

// Where memory runs out in a function that cannot throw, a destructor of a library, or before there is anybody to catch
// it, the process ends by the same message.
inline void report_memory_at_the_end() {
  static std::atomic<bool> new_has_failed{false};
  std::set_new_handler([] {
    new_has_failed = true;
    throw std::bad_alloc();
  });
  std::set_terminate([] {
    // An exception that has left a destructor is under way, but not yet handled, so that nobody can ask which it is.
    bool ends_memory = !std::current_exception() && std::uncaught_exceptions() > 0 && new_has_failed;
    try {
      if (const auto error = std::current_exception()) std::rethrow_exception(error);
    } catch (const std::exception& e) {
      ends_memory = is_out_of_memory(e);
    } catch (...) {  // what terminates otherwise, aborts as it does without this
    }
    if (ends_memory) {
      const Failure failure = no_memory(program_invocation_short_name);
      std::fprintf(stderr, "%s\n", failure.message.c_str());
      std::fflush(stderr);
      ::_exit(failure.code);
    }
    std::abort();
  });
}

// Before main: its command line takes memory too.
inline const bool kMemoryIsReported = (report_memory_at_the_end(), true);

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
    if (is_out_of_device_memory(e)) {
      const std::string hint = program == "lora-train" ? "a lower training.memory_limit plans a run that needs less"
                                                       : "--device cpu takes the machine's";
      return {static_cast<int>(ExitCode::kModel), "[memory] the GPU has no more memory for " + program + "; " + hint +
                                                      ", and other programs may use the GPU too (nvidia-smi)"};
    }
    if (is_out_of_memory(e)) return no_memory(program);
    return {1, "[internal] " + program + ": " + e.what()};
  }
}

// Says on stderr what is wrong, and returns the exit code. A file's names and patterns may be of any length.
inline int report_failure(const Failure& failure) {
  const std::string message = without_middle(harmless(failure.message), 8000);
  std::fprintf(stderr, "%s\n", styled_message(message, error_console().colour).c_str());
  return failure.code;
}

// A file that has not taken all that was written to standard output: its disk is full. A reader that leaves, or an output
// that was closed before, is no fault.
inline int code_of_output() {
  struct stat status {};
  const bool is_lost = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  if (!is_lost || ::fstat(STDOUT_FILENO, &status) != 0 || S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode))
    return 0;
  return report_failure({static_cast<int>(ExitCode::kStorage),
                         "[storage] standard output: cannot be written to its end; has its disk room?"});
}

// Parses the command line, then runs `body` and turns what it throws into one message on stderr and an exit code.
inline int run_program(Program& app, int argc, char** argv, const std::function<int()>& body) {
  add_common_options(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // --help and the like
      app.exit(e);
      return code_of_output();
    }
    return report_failure({static_cast<int>(ExitCode::kRecipe), "[usage] " + usage_problem(app, e)});
  }
  // A file-size limit is an error like any other failed write, not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  report_lost_pages();
  ::umask(::umask(0) | S_IWOTH);  // no file that everyone may write
  try {
    const int code = body();
    return code == 0 ? code_of_output() : code;
  } catch (...) {
    return report_failure(failure_of_exception(app.get_name()));
  }
}

}  // namespace lora
