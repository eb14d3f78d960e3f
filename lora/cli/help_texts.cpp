#include "lora/cli/help_texts.h"

#include <algorithm>

namespace lora {
namespace {

struct Option {
  std::string names;               // "-h,--help"; of a positional its name
  std::vector<std::string> words;  // "-h", "--help"
  std::string about, value;        // value: what follows it; empty: nothing does
  bool positional;
};

std::vector<Option> options_of(const CLI::App& app) {
  std::vector<Option> options;
  for (const CLI::Option* option : app.get_options()) {
    Option one{.names = option->get_name(false, true),
               .words = {},
               .about = option->get_description(),
               .value = "",
               .positional = option->get_positional()};
    if (one.positional) one.names = option->get_name(true);
    for (const std::string& name : option->get_snames()) one.words.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) one.words.push_back("--" + name);
    if (!one.positional && option->get_items_expected_max() > 0) one.value = option->get_type_name();
    if (const std::string preset = option->get_default_str(); !preset.empty()) one.about += " [" + preset + "]";
    options.push_back(std::move(one));
  }
  return options;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::string joined_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::vector<std::string> option_words(const CLI::App& app) {
  std::vector<std::string> words;
  for (const Option& option : options_of(app)) words.insert(words.end(), option.words.begin(), option.words.end());
  return words;
}

// A text in single quotes.
std::string in_single_quotes(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::string for_bash(const CLI::App& app) {
  const std::string name = app.get_name();
  std::string function = "_" + name;
  std::ranges::replace(function, '-', '_');
  std::vector<std::string> commands;
  std::string cases;
  for (const CLI::App* command : commands_of(app)) {
    commands.push_back(command->get_name());
    cases +=
        "      " + command->get_name() + ") words=" + in_single_quotes(joined_words(option_words(*command))) + " ;;\n";
  }
  std::string text = function + "() {\n  local current=${COMP_WORDS[COMP_CWORD]} words=" +
                     in_single_quotes(joined_words(option_words(app))) + "\n";
  if (!commands.empty()) {
    text += "  if [ \"$COMP_CWORD\" = 1 ]; then words+=" + in_single_quotes(" " + joined_words(commands)) +
            "; else\n    case ${COMP_WORDS[1]} in\n" + cases + "    esac\n  fi\n";
  }
  return text +
         "  case $current in\n    -*) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\") ;;\n    *) "
         "mapfile -t COMPREPLY < <(" +
         (commands.empty() ? "" : "[ \"$COMP_CWORD\" = 1 ] && compgen -W \"$words\" -- \"$current\"; ") +
         "compgen -f -- \"$current\") ;;\n  esac\n}\ncomplete -o filenames -F " + function + " " + name + "\n";
}

std::string zsh_words(std::string text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_arguments(const CLI::App& app, const std::string& indent) {
  std::string text;
  for (const Option& option : options_of(app)) {
    for (const std::string& word : option.words) {
      const std::string value = option.value.empty() ? "" : ":" + zsh_words(option.value) + ":_files";
      text += " \\\n" + indent + in_single_quotes("*" + word + "[" + zsh_words(option.about) + "]" + value);
    }
  }
  return text;
}

std::string for_zsh(const CLI::App& app) {
  const auto commands = commands_of(app);
  std::string text = "#compdef " + app.get_name() + "\n";
  if (commands.empty()) return text + "_arguments -s" + zsh_arguments(app, "  ") + " \\\n  '*:file:_files'\n";
  std::string names, cases;
  for (const CLI::App* command : commands) {
    names += " " + in_single_quotes(command->get_name() + ":" + zsh_words(command->get_description()));
    cases += "  " + command->get_name() + ") _arguments -s" + zsh_arguments(*command, "    ") +
             " \\\n    '*:file:_files' ;;\n";
  }
  return text + "local -a commands=(" + names +
         ")\nif (( CURRENT == 2 )); then\n  _describe command commands\n  return\nfi\n" +
         "local command=$words[2]\nshift words\n(( CURRENT-- ))\ncase $command in\n" + cases + "esac\n";
}

std::string fish_options(const CLI::App& app, const std::string& program, const std::string& when) {
  std::string text;
  for (const Option& option : options_of(app)) {
    if (option.positional) continue;
    text += "complete -c " + program + when;
    for (const std::string& word : option.words) {
      text += word.starts_with("--") ? " -l " + word.substr(2) : " -s " + word.substr(1);
    }
    text += (option.value.empty() ? "" : " -r") + (" -d " + in_single_quotes(option.about)) + "\n";
  }
  return text;
}

std::string for_fish(const CLI::App& app) {
  const std::string name = app.get_name();
  std::string text = fish_options(app, name, commands_of(app).empty() ? "" : " -n __fish_use_subcommand");
  for (const CLI::App* command : commands_of(app)) {
    text += "complete -c " + name + " -n __fish_use_subcommand -f -a " + command->get_name() + " -d " +
            in_single_quotes(command->get_description()) + "\n" +
            fish_options(*command, name, " -n '__fish_seen_subcommand_from " + command->get_name() + "'");
  }
  return text;
}

// troff takes a backslash, and a point or a quote at a line's beginning, for its own.
std::string troff(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '.' || c == '\'') && (i == 0 || text[i - 1] == '\n')) out += "\\&";
    out += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
  }
  return out;
}

std::string troff_options(const CLI::App& app) {
  std::string text;
  for (const bool positional : {true, false}) {
    for (const Option& option : options_of(app)) {
      if (option.positional != positional) continue;
      std::string names;
      for (const std::string& word : option.words) names += (names.empty() ? "" : ", ") + word;
      if (positional) names = option.names;
      text += ".TP\n\\fB" + troff(names) + "\\fR" +
              (option.value.empty() ? "" : " \\fI" + troff(option.value) + "\\fR") + "\n" + troff(option.about) + "\n";
    }
  }
  return text;
}

}  // namespace

std::string shell_completion(const CLI::App& app, const std::string& shell) {
  return shell == "bash" ? for_bash(app) : shell == "zsh" ? for_zsh(app) : for_fish(app);
}

std::string manual_page(const CLI::App& app, const std::string& version, const std::string& exit_codes) {
  std::string upper = app.get_name(), synopsis = "\\fB" + troff(app.get_name()) + "\\fR";
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (!commands_of(app).empty()) synopsis += " \\fICOMMAND\\fR";
  for (const Option& option : options_of(app)) {
    if (option.positional) synopsis += " \\fI" + troff(option.names) + "\\fR";
  }
  std::string text = ".TH " + troff(upper) + " 1 \"\" \"" + version.substr(0, version.find('\n')) +
                     "\" \"lora-train\"\n.SH NAME\n" + troff(app.get_name()) + " \\- " + troff(app.get_description()) +
                     "\n.SH SYNOPSIS\n" + synopsis + " [\\fIOPTIONS\\fR]\n.SH OPTIONS\n" + troff_options(app);
  for (const CLI::App* command : commands_of(app)) {
    text += ".SH COMMAND " + troff(command->get_name()) + "\n" + troff(command->get_description()) + "\n" +
            troff_options(*command);
  }
  return text + ".SH EXIT STATUS\n" + troff(exit_codes) + "\n";
}

}  // namespace lora
