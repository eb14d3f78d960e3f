#pragma once
// Completions for shells and a manual page, from the same words as --help.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace lora {

// For bash, zsh or fish, as a script for the shell to read.
std::string shell_completion(const CLI::App& app, const std::string& shell);

// A page for man, in troff. The first line of `version` is its footer.
std::string manual_page(const CLI::App& app, const std::string& version, const std::string& exit_codes);

}  // namespace lora
