// Commands of README.md and docs/: their options and keys exist, and the tutorial's do what it shows.

#include <cstdio>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "lora/recipe/keys.h"
#include "tests/app/runs.h"

using namespace lora::test;
namespace fs = std::filesystem;

namespace {

using CommandWords = std::vector<std::string>;

const std::set<std::string> kPrograms = {"lora-train", "lora-export", "lora-generate", "lora-classify",
                                         "lora-data",  "lora-serve",  "lora-inspect"};

// A line of a page's code, or a word of code within a text.
struct Code {
  std::string where, text;
};

std::vector<std::string> lines_of_page(const fs::path& page) {
  std::vector<std::string> lines;
  std::istringstream in(read_bytes(page));
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<Code> code_of(const fs::path& page) {
  std::vector<Code> code;
  bool is_block = false, goes_on = false;
  const std::vector<std::string> lines = lines_of_page(page);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string where = page.filename().string() + ":" + std::to_string(i + 1);
    std::string line = lines[i];
    if (line.starts_with("```")) {
      is_block = !is_block;
    } else if (is_block) {
      const bool continues = line.ends_with("\\");
      if (continues) line.pop_back();
      if (goes_on) {
        code.back().text += line;
      } else {
        code.push_back({where, line});
      }
      goes_on = continues;
    } else {
      static const std::regex span("`([^`]+)`");
      for (std::sregex_iterator found(line.begin(), line.end(), span), end; found != end; ++found) {
        code.push_back({where, (*found)[1]});
      }
    }
  }
  return code;
}

// The words of each command of a line, without what comments say and without the brackets of what may be left out.
std::vector<CommandWords> commands_in(const std::string& line) {
  std::vector<CommandWords> commands(1);
  std::istringstream in(line);
  for (std::string word; in >> word;) {
    if (word.starts_with('#')) break;
    if (word == "|" || word == "&&" || word == ";") {
      commands.emplace_back();
      continue;
    }
    word.erase(0, word.find_first_not_of("[(\"'"));
    word.erase(word.find_last_not_of("]),;:\"'") + 1);
    if (!word.empty()) commands.back().push_back(word);
  }
  return commands;
}

// What --help of a program, and of a command of it, has.
const std::set<std::string>& options_of(const std::string& program, const std::string& command) {
  static std::map<std::string, std::set<std::string>> known;
  auto& options = known[program + " " + command];
  if (!options.empty()) return options;
  for (const CommandWords& arguments : {CommandWords{program, "--help"}, CommandWords{program, command, "--help"}}) {
    if (std::ranges::count(arguments, "") > 0) continue;
    const std::string help = run(arguments).out;
    static const std::regex option("--[a-z][a-z0-9-]*");
    for (std::sregex_iterator found(help.begin(), help.end(), option), end; found != end; ++found) {
      options.insert(found->str());
    }
  }
  return options;
}

// Whether a recipe has the key of an override such as "adapters.0.data.train.0.path".
bool is_key(std::string path) {
  path = std::regex_replace(path, std::regex("^adapters\\.\\d+\\."), "");
  path = std::regex_replace(path, std::regex("\\.\\d+(\\.|$)"), ".0$1");
  const std::vector<std::string> keys = lora::override_paths();
  return std::ranges::any_of(keys, [&](const std::string& key) {
    return key == path || key.starts_with(path + ".") || path.starts_with(key + ".");
  });
}

std::vector<fs::path> pages() {
  std::vector<fs::path> found = {source_dir() / "README.md", source_dir() / "CONTRIBUTING.md"};
  for (const auto& item : fs::recursive_directory_iterator(source_dir() / "docs")) {
    if (item.path().extension() == ".md") found.push_back(item.path());
  }
  return found;
}

// A command of the tutorial with the lines that it shows of the output.
struct Shown {
  std::string command;
  std::vector<std::string> output;
};

// Those of a block; a command whose quotes are open goes on in the next line.
std::vector<Shown> shown_in(const std::vector<std::string>& block) {
  std::vector<Shown> shown;
  for (const std::string& line : block) {
    const bool is_open = !shown.empty() && std::ranges::count(shown.back().command, '"') % 2 != 0;
    if (is_open) {
      shown.back().command += "\n" + line;
    } else if (line.starts_with("$ ")) {
      shown.push_back({line.substr(2), {}});
    } else if (!shown.empty()) {
      shown.back().output.push_back(line);
    }
  }
  return shown;
}

// Whether the output has the line, with any numbers, and anything in place of "…".
bool has_line(const std::string& output, const std::string& line) {
  std::string pattern = std::regex_replace(line, std::regex(R"([.^$|()\[\]{}*+?\\])"), R"(\$&)");
  pattern = std::regex_replace(pattern, std::regex(R"(\d[\d.,\\e+-]*)"), R"([\d.,e+-]+)");
  pattern = std::regex_replace(pattern, std::regex("…"), ".*");
  return std::regex_search(output, std::regex("(^|\n)" + pattern + "(\n|$)"));
}

std::string shell_output(const std::string& command, const fs::path& directory, int& status) {
  write_bytes(directory / "command.sh", command);
  const std::string shell = "cd '" + directory.string() + "' && XDG_CACHE_HOME=cache bash command.sh 2>&1";
  std::FILE* const pipe = ::popen(shell.c_str(), "r");
  REQUIRE(pipe);
  std::string output;
  char bytes[4096];
  for (size_t count; (count = std::fread(bytes, 1, sizeof bytes, pipe)) > 0;) output.append(bytes, count);
  status = ::pclose(pipe);
  return output;
}

}  // namespace

TEST_CASE("every option and every key in a command of the documentation exists") {
  size_t options = 0, keys = 0;
  for (const fs::path& page : pages()) {
    for (const Code& code : code_of(page)) {
      for (const CommandWords& words : commands_in(code.text)) {
        const auto named = std::ranges::find_if(
            words, [](const std::string& word) { return kPrograms.contains(fs::path(word).filename().string()); });
        // One that a script is given, as in --lora-data build/lora-data, is no command.
        if (named == words.end() || (named != words.begin() && (named - 1)->starts_with("--"))) continue;
        const std::string program = fs::path(*named).filename().string();
        const bool has_command = program == "lora-data" && named + 1 != words.end() && !(named + 1)->starts_with('-');
        for (auto word = named + 1; word != words.end(); ++word) {
          const std::string name = word->substr(0, word->find('='));
          CAPTURE(code.where, code.text, name);
          if (name.starts_with("--")) {
            CHECK(options_of(program, has_command ? *(named + 1) : "").contains(name));
            ++options;
          } else if (program == "lora-train" && std::regex_match(name, std::regex("[a-z_]+(\\.[a-z_0-9]+)*")) &&
                     name.size() < word->size()) {
            CHECK(is_key(name));
            ++keys;
          }
        }
      }
    }
  }
  CHECK(options > 60);
  CHECK(keys > 3);
}

TEST_CASE("the commands of the tutorial do what it shows", "[.long]") {
  const TemporaryDirectory directory;
  fs::create_directory_symlink(LORA_BINARY_DIR, directory / "build");
  fs::create_directory_symlink(source_dir() / "recipes", directory / "recipes");
  std::vector<std::string> block;
  std::string language;
  bool is_block = false;
  size_t commands = 0, lines = 0;
  for (const std::string& line : lines_of_page(source_dir() / "docs/tutorial.md")) {
    if (!line.starts_with("```")) {
      if (is_block) block.push_back(line);
      continue;
    }
    is_block = !is_block;
    if (is_block) {
      language = line.substr(3);
      block.clear();
    } else if (language == "yaml") {
      std::string text;
      for (const std::string& one : block) text += one + "\n";
      write_bytes(directory / "mine.yaml", text);
    } else {
      for (const Shown& shown : shown_in(block)) {
        int status = 0;
        const std::string output = shell_output(shown.command, directory.path(), status);
        CAPTURE(shown.command, output);
        CHECK(status == 0);
        ++commands;
        for (const std::string& expected : shown.output) {
          CAPTURE(expected);
          CHECK(has_line(output, expected));
          ++lines;
        }
      }
    }
  }
  CHECK(commands > 15);
  CHECK(lines > 10);
}
