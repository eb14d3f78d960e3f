#pragma once
// Completions for shells and a manual page, from the same words as --help.

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace lora {

// What a shell offers where the command line's own checks do not name the values.
struct Offer {
  std::vector<std::string> words;  // one that ends with = begins a longer word
  bool files = false;              // files besides
};
// By the option ("--device") or the positional ("OVERRIDES", which follow a recipe); asked for when completions are made.
using Offers = std::map<std::string, std::function<Offer()>>;

// For bash, zsh or fish, as a script for the shell to read. A value from a closed set (CLI::IsMember) is offered from
// that set, a number not at all, any other value from `offers`, or else as a file.
std::string shell_completion(const CLI::App& app, const Offers& offers, const std::string& shell);

// A page for man, in troff. The first line of `version` is its footer.
std::string manual_page(const CLI::App& app, const std::string& version, const std::string& exit_codes);

}  // namespace lora
