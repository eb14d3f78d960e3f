#pragma once
// The options of a command line, as completions and the manual page show them.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace lora {

struct ShownOption {
  std::string names;               // "-h,--help"; of a positional its name
  std::vector<std::string> words;  // "-h", "--help"; of a positional none
  std::string about, value;        // value: the type of what follows it, or of a positional; empty: nothing follows
  bool positional, required, several;
};

std::vector<ShownOption> options_of(const CLI::App& app);
std::vector<const CLI::App*> commands_of(const CLI::App& app);

}  // namespace lora
