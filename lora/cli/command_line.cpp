#include "lora/cli/command_line.h"

#include <algorithm>
#include <vector>

#include "lora/terminal/table.h"
#include "lora/terminal/text.h"
#include "models/base/did_you_mean.h"

namespace lora {
namespace {

constexpr size_t kColumn = 30;  // where what an option means begins, where there is room
constexpr int kRoomy = 80;      // columns of a terminal from which on there is

// An option or a command: its name, and what it means beside it, or below.
std::string entry(const std::string& name, const std::string& about) {
  const bool is_roomy = table_width() >= kRoomy;
  const size_t column = is_roomy ? kColumn : 6;
  const std::string below = indented(about, column);
  if (!is_roomy || 2 + width_of(name) >= column || below.empty()) return indented(name, 2) + below;
  return "  " + name + below.substr(2 + width_of(name));
}

class FoldingHelp : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    return entry(make_option_name(option, is_positional) + make_option_opts(option), make_option_desc(option));
  }
  std::string make_subcommand(const CLI::App* command) const override {
    return entry(command->get_display_name(true), command->get_description());
  }
  std::string make_description(const CLI::App* app) const override {
    return indented(CLI::Formatter::make_description(app), 0);
  }
  std::string make_usage(const CLI::App* app, std::string name) const override {
    return indented(CLI::Formatter::make_usage(app, std::move(name)), 0);
  }
  std::string make_footer(const CLI::App* app) const override { return indented(CLI::Formatter::make_footer(app), 0); }
};

// "--resume", "-h": of the program and of the commands that were given.
std::vector<std::string> words_of_options(const CLI::App& app) {
  std::vector<std::string> words;
  const auto add = [&](const CLI::App& one) {
    for (const CLI::Option* option : one.get_options()) {
      for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
      for (const std::string& name : option->get_snames()) words.push_back("-" + name);
    }
  };
  for (const CLI::App* command : app.get_subcommands()) add(*command);
  add(app);
  return words;
}

std::string unknown_word(const CLI::App& app) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(command->get_name());
  }
  for (const std::string& word : app.remaining(/*recurse=*/true)) {
    if (word.size() > 1 && word[0] == '-' && word != "--") {
      const std::string name = word.substr(0, word.find('='));
      return name + ": not an option of " + app.get_name() + did_you_mean(name, words_of_options(app));
    }
    if (!commands.empty() && app.get_subcommands().empty()) {
      return word + ": not a command of " + app.get_name() + did_you_mean(word, commands);
    }
  }
  return "";
}

}  // namespace

std::shared_ptr<CLI::FormatterBase> folding_help() { return std::make_shared<FoldingHelp>(); }

std::string usage_problem(const CLI::App& app, const CLI::ParseError& error) {
  const std::string unknown = unknown_word(app);
  return (unknown.empty() ? error.what() : unknown) + "; " + app.get_name() + " --help tells what there is";
}

}  // namespace lora
