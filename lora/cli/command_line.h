#pragma once
// What a program says about its command line.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

namespace lora {

// --help in lines that fit the terminal, or of 100 columns where there is none.
std::shared_ptr<CLI::FormatterBase> folding_help();

// What is wrong with a command line that `error` was thrown for. An unknown option or command comes before
// everything else, with the nearest one: "--rsume: not an option of lora-train (did you mean '--resume'?)".
std::string usage_problem(const CLI::App& app, const CLI::ParseError& error);

}  // namespace lora
