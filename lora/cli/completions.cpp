#include <algorithm>
#include <set>

#include "lora/cli/help_texts.h"
#include "lora/cli/option_table.h"

namespace lora {
namespace {

// CLI::IsMember writes its set into the type's name: "TEXT:{float32,bfloat16,auto}".
std::vector<std::string> closed_set(const std::string& type) {
  const size_t begin = type.find('{'), end = type.find('}', begin);
  std::vector<std::string> words;
  if (begin == std::string::npos || end == std::string::npos) return words;
  for (size_t at = begin + 1; at < end;) {
    const size_t comma = std::min(type.find(',', at), end);
    words.push_back(type.substr(at, comma - at));
    at = comma + 1;
  }
  return words;
}

bool is_number_type(const std::string& type) {
  return type.starts_with("INT") || type.starts_with("UINT") || type.starts_with("FLOAT");
}

Offer values_of_option(const ShownOption& option, const Offers& offers) {
  for (const std::string& word : option.words) {
    if (const auto found = offers.find(word); found != offers.end()) return found->second();
  }
  std::vector<std::string> words = closed_set(option.value);
  const bool files = words.empty() && !is_number_type(option.value);
  return {std::move(words), files};
}

// The words that follow a recipe on the command line; empty for a program that takes none.
std::vector<std::string> words_after_recipe(const CLI::App& app, const Offers& offers) {
  for (const ShownOption& option : options_of(app)) {
    const auto found = option.positional ? offers.find(option.names) : offers.end();
    if (found != offers.end()) return found->second().words;
  }
  return {};
}

std::string joined_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::vector<std::string> option_words(const CLI::App& app) {
  std::vector<std::string> words;
  for (const ShownOption& option : options_of(app)) {
    words.insert(words.end(), option.words.begin(), option.words.end());
  }
  return words;
}

// A text in single quotes.
std::string in_single_quotes(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// The program itself and its commands.
std::vector<const CLI::App*> parts_of(const CLI::App& app) {
  std::vector<const CLI::App*> parts = commands_of(app);
  parts.insert(parts.begin(), &app);
  return parts;
}

std::string bash_values(const CLI::App& app, const Offers& offers) {
  std::string cases;
  std::set<std::string> seen;
  for (const CLI::App* part : parts_of(app)) {
    for (const ShownOption& option : options_of(*part)) {
      std::string pattern;
      for (const std::string& word : option.words) {
        if (seen.insert(word).second) pattern += (pattern.empty() ? "" : "|") + word;
      }
      if (pattern.empty() || option.value.empty()) continue;
      const auto [words, files] = values_of_option(option, offers);
      cases += "    " + pattern + ") offered=" + in_single_quotes(joined_words(words)) + (files ? " files=yes" : "") +
               " ;;\n";
    }
  }
  return cases;
}

// Bash splits a word at its =, so that the value of --option=value follows a word that is =.
std::string for_bash(const CLI::App& app, const Offers& offers) {
  const std::string name = app.get_name();
  std::string function = "_" + name;
  std::ranges::replace(function, '-', '_');
  std::vector<std::string> commands, keys;
  std::string cases;
  for (const CLI::App* part : parts_of(app)) {
    if (keys.empty()) keys = words_after_recipe(*part, offers);
    if (part == &app) continue;
    commands.push_back(part->get_name());
    cases += "      " + part->get_name() + ") offered=" + in_single_quotes(joined_words(option_words(*part))) + " ;;\n";
  }
  std::string text = function +
                     "() {\n"
                     "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
                     "  local offered= files= assigned=\n"
                     "  if [ \"$current\" = = ]; then\n    current= assigned=yes\n"
                     "  elif [ \"$previous\" = = ]; then\n    previous=${COMP_WORDS[COMP_CWORD-2]} assigned=yes\n  fi\n"
                     "  case $previous in\n" +
                     bash_values(app, offers) + "    *) case $current in\n      -*) ";
  if (commands.empty()) {
    text += "offered=" + in_single_quotes(joined_words(option_words(app))) + " ;;\n";
  } else {
    text += "case ${COMP_WORDS[1]} in\n" + cases +
            "      *) offered=" + in_single_quotes(joined_words(option_words(app))) + " ;;\n      esac ;;\n";
  }
  text += "      *)\n        files=yes\n";
  if (!commands.empty()) {
    text += "        if [ \"$COMP_CWORD\" = 1 ]; then offered=" + in_single_quotes(joined_words(commands)) +
            "; files=; fi\n";
  }
  if (!keys.empty()) {
    // A recipe stands before them.
    text += "        case \"$assigned ${COMP_WORDS[*]:1:COMP_CWORD-1} \" in \\ *.yaml\\ *|\\ *.yml\\ *) offered=" +
            in_single_quotes(joined_words(keys)) + " files= ;; esac\n";
  }
  return text +
         "    esac ;;\n  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$offered\" -- \"$current\"; "
         "[ -z \"$files\" ] || compgen -f -- \"$current\")\n"
         "  if [[ ${COMPREPLY[0]-} == *= ]]; then compopt +o filenames -o nospace 2>/dev/null; fi\n"
         "}\ncomplete -o filenames -F " +
         function + " " + name + "\n";
}

std::string zsh_words(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// An action of _arguments, behind its colon.
std::string zsh_action(const Offer& values) {
  if (values.words.empty()) return values.files ? "_files" : " ";
  const std::string words = "(" + joined_words(values.words) + ")";
  return values.files ? "{_alternative \"names\\:name\\:" + words + "\" \"files\\:file\\:_files\"}" : words;
}

std::string zsh_arguments(const CLI::App& app, const Offers& offers, const std::string& indent) {
  std::string text;
  const auto add = [&](const std::string& spec) { text += " \\\n" + indent + in_single_quotes(spec); };
  for (const ShownOption& option : options_of(app)) {
    for (const std::string& word : option.words) {
      const std::string label = word.substr(word.find_first_not_of('-'));
      const std::string value =
          option.value.empty() ? "" : ":" + label + ":" + zsh_action(values_of_option(option, offers));
      add("*" + word + "[" + zsh_words(option.about) + "]" + value);
    }
  }
  if (const auto keys = words_after_recipe(app, offers); !keys.empty()) {
    add("1:recipe:_files");
    add("*:key:{compadd -S \"\" -- " + joined_words(keys) + "}");
  } else {
    add("*:file:_files");
  }
  return text;
}

std::string for_zsh(const CLI::App& app, const Offers& offers) {
  const auto commands = commands_of(app);
  std::string text = "#compdef " + app.get_name() + "\n";
  if (commands.empty()) return text + "_arguments -s" + zsh_arguments(app, offers, "  ") + "\n";
  std::string names, cases;
  for (const CLI::App* command : commands) {
    names += " " + in_single_quotes(command->get_name() + ":" + zsh_words(command->get_description()));
    cases += "  " + command->get_name() + ") _arguments -s" + zsh_arguments(*command, offers, "    ") + " ;;\n";
  }
  return text + "local -a commands=(" + names +
         ")\nif (( CURRENT == 2 )); then\n  _describe command commands\n  return\nfi\n" +
         "local command=$words[2]\nshift words\n(( CURRENT-- ))\ncase $command in\n" + cases + "esac\n";
}

std::string fish_options(const CLI::App& app, const Offers& offers, const std::string& begin,
                         const std::string& condition) {
  std::string text;
  for (const ShownOption& option : options_of(app)) {
    if (option.positional) continue;
    text += begin + (condition.empty() ? "" : " -n " + in_single_quotes(condition));
    for (const std::string& word : option.words) {
      text += word.starts_with("--") ? " -l " + word.substr(2) : " -s " + word.substr(1);
    }
    if (!option.value.empty()) {
      const auto [words, files] = values_of_option(option, offers);
      text += files ? " -r -F" : " -x";
      if (!words.empty()) text += " -a " + in_single_quotes(joined_words(words));
    }
    text += " -d " + in_single_quotes(option.about) + "\n";
  }
  if (const auto keys = words_after_recipe(app, offers); !keys.empty()) {
    const std::string behind = "string match -qr \"\\.ya?ml\\$\" -- (commandline -opc)";
    text += begin + " -n " + in_single_quotes(condition.empty() ? behind : condition + "; and " + behind) + " -f -a " +
            in_single_quotes(joined_words(keys)) + "\n";
  }
  return text;
}

std::string for_fish(const CLI::App& app, const Offers& offers) {
  const std::string begin = "complete -c " + app.get_name();
  const std::string alone = "__fish_use_subcommand";
  std::string text = fish_options(app, offers, begin, commands_of(app).empty() ? "" : alone);
  for (const CLI::App* command : commands_of(app)) {
    text += begin + " -n " + alone + " -f -a " + command->get_name() + " -d " +
            in_single_quotes(command->get_description()) + "\n" +
            fish_options(*command, offers, begin, "__fish_seen_subcommand_from " + command->get_name());
  }
  return text;
}

}  // namespace

std::string shell_completion(const CLI::App& app, const Offers& offers, const std::string& shell) {
  return shell == "bash" ? for_bash(app, offers) : shell == "zsh" ? for_zsh(app, offers) : for_fish(app, offers);
}

}  // namespace lora
