#include <algorithm>
#include <cctype>

#include "lora/cli/help_texts.h"
#include "lora/cli/option_table.h"

namespace lora {
namespace {

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

// KEY=VALUE, where a positional says what it looks like.
std::string shown_name(const ShownOption& positional) {
  return positional.value == "TEXT" ? positional.names : positional.value;
}

std::string troff_options(const CLI::App& app) {
  std::string text;
  for (const bool positional : {true, false}) {
    for (const ShownOption& option : options_of(app)) {
      if (option.positional != positional) continue;
      std::string names = positional ? shown_name(option) : "";
      for (const std::string& word : option.words) names += (names.empty() ? "" : ", ") + word;
      const bool has_value = !positional && !option.value.empty();
      text += ".TP\n\\fB" + troff(names) + "\\fR" + (has_value ? " \\fI" + troff(option.value) + "\\fR" : "") + "\n" +
              troff(option.about) + "\n";
    }
  }
  return text;
}

// "RECIPE", "[KEY=VALUE ...]": what may be left out is in brackets.
std::string synopsis_words(const CLI::App& app) {
  std::string text;
  for (const ShownOption& option : options_of(app)) {
    if (!option.positional) continue;
    const std::string name = "\\fI" + troff(shown_name(option)) + "\\fR";
    const std::string words = name + (option.several ? " ..." : "");
    text += " " + (option.required ? words : "[" + words + "]");
  }
  return text;
}

std::string synopsis(const CLI::App& app) {
  const std::string name = "\\fB" + troff(app.get_name()) + "\\fR", options = " [\\fIOPTIONS\\fR]";
  if (commands_of(app).empty()) return name + synopsis_words(app) + options + "\n";
  std::string text;
  for (const CLI::App* command : commands_of(app)) {
    text += (text.empty() ? "" : ".br\n") + name + " \\fB" + troff(command->get_name()) + "\\fR" +
            synopsis_words(*command) + options + "\n";
  }
  return text;
}

}  // namespace

std::string manual_page(const CLI::App& app, const std::string& version, const std::string& exit_codes) {
  std::string upper = app.get_name();
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  std::string text = ".TH " + troff(upper) + " 1 \"\" \"" + version.substr(0, version.find('\n')) +
                     "\" \"lora-train\"\n.SH NAME\n" + troff(app.get_name()) + " \\- " + troff(app.get_description()) +
                     "\n.SH SYNOPSIS\n" + synopsis(app) + ".SH OPTIONS\n" + troff_options(app);
  for (const CLI::App* command : commands_of(app)) {
    text += ".SH COMMAND " + troff(command->get_name()) + "\n" + troff(command->get_description()) + "\n" +
            troff_options(*command);
  }
  return text + ".SH EXIT STATUS\n" + troff(exit_codes) + "\n";
}

}  // namespace lora
