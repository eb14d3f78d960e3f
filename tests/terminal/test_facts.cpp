// Facts and commands: folded on a terminal, whole elsewhere.

#include "lora/terminal/facts.h"

#include <algorithm>
#include <sstream>

#include "lora/terminal/style.h"
#include "lora/terminal/text.h"
#include "tests/catch.h"

namespace lora::test {
namespace {

const Console kFile = {};

Console terminal_of(int width, bool colour = false) { return {.redraws = true, .colour = colour, .width = width}; }

std::vector<std::string> lines_of_text(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST_CASE("a fact is one line in a file, and goes on below its text on a terminal") {
  const std::string text = "about 157 MB at the peak: weights 2.5 MB, optimizer 786 kB, activations 14 MB";
  CHECK(fact("Memory", text, kFile) == "Memory      " + text + "\n");
  CHECK(fact("Memory", text, terminal_of(60)) ==
        "Memory      about 157 MB at the peak: weights 2.5 MB,\n"
        "            optimizer 786 kB, activations 14 MB\n");
  CHECK(fact("Not counted", "rows", kFile) == "Not counted rows\n");
  CHECK(fact("a\x1b[2J", "b\x1b[31m", kFile) == "a [2J       b [31m\n");  // of a file's metadata
  CHECK(fact("", "more", kFile) == "            more\n");
  CHECK(fact("Model", "llama\n2 of its rows are new", kFile) ==
        "Model       llama\n            2 of its rows are new\n");
  CHECK(fact("Model", "llama", terminal_of(60, /*colour=*/true)) == "\x1b[2mModel\x1b[0m       llama\n");
  for (const int width : {32, 40, 60, 80, 200}) {
    for (const std::string& line :
         lines_of_text(fact("Memory", text, terminal_of(width)) + sentence(text, terminal_of(width)))) {
      CHECK(width_of(line) <= static_cast<size_t>(width));
    }
  }
  CHECK(sentence(text, kFile) == text + "\n");
}

TEST_CASE("a command that is too wide is copied as it would be typed") {
  const std::vector<std::string> words = {"build/lora-generate", "runs/quickstart", "--prompt",
                                          "$'Question: Where is the house of Johan?\\nAnswer:'", "--stats"};
  std::string whole;
  for (const std::string& word : words) whole += (whole.empty() ? "" : " ") + word;
  CHECK(command_to_copy("Try it:", words, kFile) == "Try it: " + whole + "\n");
  CHECK(command_to_copy("Try it:", words, terminal_of(200)) == "Try it: " + whole + "\n");
  CHECK(command_to_copy("Try it:", words, terminal_of(60)) ==
        "Try it:\n"
        "  build/lora-generate runs/quickstart --prompt \\\n"
        "  $'Question: Where is the house of Johan?\\nAnswer:' --stats\n");
  for (const int width : {20, 40, 60, 80, 100}) {
    std::string joined;
    const std::vector<std::string> lines = lines_of_text(command_to_copy("Try it:", words, terminal_of(width)));
    for (size_t i = lines.size() > 1 ? 1 : 0; i < lines.size(); ++i) {
      std::string line = lines[i];
      const bool goes_on = line.ends_with(" \\");
      if (goes_on) line.resize(line.size() - 2);
      const bool is_word = std::ranges::count(words, line.substr(line.find_first_not_of(' '))) > 0;
      CAPTURE(width, line);
      CHECK((width_of(lines[i]) <= static_cast<size_t>(width) || is_word));
      CHECK(goes_on == (i + 1 < lines.size()));
      joined += (joined.empty() ? "" : " ") + line.substr(line.find_first_not_of(' '));
    }
    CHECK((joined == whole || joined == "Try it: " + whole));
  }
}

TEST_CASE("an error at a terminal has its place dim, the name bold and the hint apart") {
  const std::string message = "[recipe] a.yaml:12:5: unknown key 'lora_rnak' in 'adapter' (did you mean 'lora_rank'?)";
  CHECK(styled_message(message, false) == message);
  CHECK(styled_message(message, true) ==
        "\x1b[2m[recipe] a.yaml:12:5:\x1b[0m unknown key \x1b[1m'lora_rnak'\x1b[0m in 'adapter' "
        "\x1b[36m(did you mean 'lora_rank'?)\x1b[0m");
  CHECK(styled_message("[model] m: the model's tensor 'x' is missing; fetch it again", true) ==
        "\x1b[2m[model]\x1b[0m m: the model's tensor \x1b[1m'x'\x1b[0m is missing; \x1b[36mfetch it again\x1b[0m");
  CHECK(styled_message("[storage] it's full", true) == "\x1b[2m[storage]\x1b[0m it's full");
  CHECK(styled_message("a\n[recipe] 'b'", true) == "a\n\x1b[2m[recipe]\x1b[0m \x1b[1m'b'\x1b[0m");
  // Nothing is lost of any text.
  for (const std::string text :
       {"", "[", "[x] ", "[x] :1:2: ", "'", " '", "[x] a:1:: 'b", "; ", "[x] a; ", "1:2:3: '"}) {
    std::string plain;
    const std::string shown = styled_message(text, true);
    for (size_t i = 0; i < shown.size(); ++i) {
      if (shown[i] == '\x1b') {
        i = shown.find('m', i);
      } else {
        plain += shown[i];
      }
    }
    CHECK(plain == text);
  }
}

}  // namespace
}  // namespace lora::test
