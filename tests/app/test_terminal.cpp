// The programs at a terminal: lines that fit it, and a chat.

#include <algorithm>
#include <chrono>
#include <span>
#include <thread>

#include "lora/app/source/trained_model.h"
#include "lora/inference/streamed_answer.h"
#include "lora/terminal/text.h"
#include "tests/app/runs.h"
#include "tests/app/terminal.h"

using namespace lora::test;
using Catch::Matchers::Contains;

namespace {

// The lines as they stand in turn: one that is drawn again begins anew.
std::vector<std::string> lines_of(const std::string& output) {
  std::vector<std::string> lines(1);
  for (size_t i = 0; i < output.size(); ++i) {
    if (output[i] == '\r' || output[i] == '\n') {
      lines.emplace_back();
    } else if (output[i] == '\x1b') {
      while (i < output.size() && std::isalpha(static_cast<unsigned char>(output[i])) == 0) ++i;
    } else {
      lines.back() += output[i];
    }
  }
  return lines;
}

}  // namespace

TEST_CASE("a run at a terminal of 60 columns draws one line that fits, and tables that fit too") {
  const TemporaryDirectory directory;
  Terminal terminal({"lora-train", quickstart_recipe(directory), "training.max_steps=30", "export=[peft]"}, 60);
  CHECK(terminal.wait() == 0);
  size_t drawn = 0;
  bool after_tables = false;
  for (const std::string& line : lines_of(terminal.output())) {
    CAPTURE(line);
    const bool is_step = line.find("/30  ") != std::string::npos;
    if (is_step && line.find("validation") == std::string::npos) {
      CHECK(lora::width_of(line) < 60);
      drawn += line.find("ETA ") != std::string::npos;
    }
    after_tables |= line.starts_with("  adapted");
    if (line.starts_with("  model.layers") || line.starts_with("  wrote") || line.starts_with("  adapted")) {
      CHECK(lora::width_of(line) <= 60);
    }
  }
  CHECK(after_tables);
  CHECK(drawn >= 30);
  CHECK_THAT(terminal.output(), Contains("\x1b[K") && Contains("Try it:"));
}

TEST_CASE("tables fit a terminal of any width, with names that are wide") {
  const TemporaryDirectory directory;
  const std::string data = (directory / "数据集/训练样本的第一部分.jsonl").string();
  std::filesystem::create_directories(directory / "数据集");
  write_bytes(data, counting_rows(40));
  const std::string recipe = quickstart_recipe(directory);
  for (const int width : {40, 60, 80, 200}) {
    const std::string out = (directory / std::to_string(width)).string();
    Terminal run({"lora-train", recipe, "data.train=[{path: " + data + "}]", "training.max_steps=2",
                  "output_dir=" + out, "evaluation.exact_match=2"},
                 width);
    REQUIRE(run.wait() == 0);
    Terminal inspected({"lora-inspect", out}, width);
    REQUIRE(inspected.wait() == 0);
    Terminal model({"lora-inspect", (quickstart() / "model").string()}, width);
    REQUIRE(model.wait() == 0);
    size_t tables = 0;
    for (const Terminal* terminal : {&run, &inspected, &model}) {
      const std::vector<std::string> lines = lines_of(terminal->output());
      // Words of the command at the end are never cut.
      const auto command = std::ranges::find(lines, "Try it:");
      for (const std::string& line : std::span(lines.begin(), command)) {
        if (!line.starts_with("  ")) continue;
        ++tables;
        CAPTURE(width, line);
        CHECK(lora::width_of(line) <= static_cast<size_t>(width));
      }
    }
    CHECK(tables > 30);
  }
}

TEST_CASE("at 60 columns no line of a run is wider, but for a word of a command to copy") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory, "export: [peft]\nevaluation: {exact_match: 2}\n");
  size_t facts = 0, commands = 0, warnings = 0;
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"lora-train", recipe, "training.max_steps=2"},
        {"lora-data", "report", recipe, "--html", (directory / "page.html").string()},
        {"lora-export", (directory / "run").string(), "--format", "peft", "--output", (directory / "out").string()},
        {"lora-train", "--list-recipes"}}) {
    Terminal terminal(arguments, 60);
    REQUIRE(terminal.wait() == 0);
    bool is_command = false;
    for (const std::string& line : lines_of(terminal.output())) {
      CAPTURE(arguments[0], line);
      is_command |= line.starts_with("Try it:");
      facts += line.starts_with("Memory  ") || line.starts_with("            ");
      commands += is_command && line.starts_with("  ");
      warnings += line.find(" warning: ") == 8;  // "12:34:56 warning: …"
      if (!is_command) CHECK(lora::width_of(line) <= 60);
    }
  }
  CHECK(facts > 6);
  CHECK(commands >= 2);
  CHECK(warnings >= 1);
}

TEST_CASE("--help fits the terminal, and 100 columns where there is none") {
  for (const std::string program :
       {"lora-train", "lora-export", "lora-generate", "lora-classify", "lora-data", "lora-serve", "lora-inspect"}) {
    for (const int width : {40, 60, 80, 200}) {
      Terminal terminal({program, "--help"}, width);
      REQUIRE(terminal.wait() == 0);
      for (const std::string& line : lines_of(terminal.output())) {
        CAPTURE(program, width, line);
        CHECK(lora::width_of(line) <= static_cast<size_t>(width));
      }
      CHECK_THAT(terminal.output(), Contains("Exit codes: 0 done") && Contains("--version") && !Contains("\x1b"));
    }
    const Outcome outcome = run({program, "--help"});
    CHECK(outcome.exit_code == 0);
    size_t widest = 0;
    for (const std::string& line : lines_of(outcome.out)) widest = std::max(widest, lora::width_of(line));
    CHECK(widest <= 100);
    CHECK(widest > 80);
  }
  const Outcome command = run({"lora-data", "preview", "--help"});
  CHECK_THAT(command.out, Contains("\n  --ids                       A line a token, with its id\n"));
}

TEST_CASE("a word that is no option is answered with the nearest one") {
  for (const std::string program :
       {"lora-train", "lora-export", "lora-generate", "lora-classify", "lora-data", "lora-serve", "lora-inspect"}) {
    check_refused(
        {program, "--versoin"}, 2,
        {"[usage] --versoin: not an option of " + program, "(did you mean '--version'?)", program + " --help"});
  }
  check_refused({"lora-train", "--rsume", "x.yaml"}, 2, {"--rsume: not an option", "(did you mean '--resume'?)"});
  check_refused({"lora-train", "-resume", "x.yaml"}, 2, {"-resume: not an option", "(did you mean '--resume'?)"});
  // Before what is missing because of it.
  check_refused({"lora-export", "run", "--formt=peft", "--output", "x"}, 2,
                {"--formt: not an option of lora-export (did you mean '--format'?)"});
  check_refused({"lora-data", "preview", "x.yaml", "--cuont", "2"}, 2, {"--cuont: not", "(did you mean '--count'?)"});
  check_refused({"lora-data", "reprot", "x.yaml"}, 2, {"reprot: not a command of lora-data (did you mean 'report'?)"});
  check_refused({"lora-data"}, 2, {"[usage] A subcommand is required; lora-data --help"});
  check_refused({"lora-inspect", "--frobnicate"}, 2, {"--frobnicate: not an option of lora-inspect; lora-inspect"});
  check_refused({"lora-export", "run", "--output", "x"}, 2, {"[usage] --format is required; lora-export --help"});
}

TEST_CASE("colour tells the place, the name and the hint of an error, and titles, where a terminal has it") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  const std::vector<std::string> wrong = {"lora-train", recipe, "adapter.rnak=4"};
  Terminal coloured(wrong, 80);
  CHECK(coloured.wait() == 2);
  CHECK_THAT(coloured.output(), Contains("\x1b[2m[recipe]\x1b[0m ") && Contains("\x1b[1m'") &&
                                    Contains("\x1b[36m(did you mean 'rank'?)\x1b[0m"));
  Terminal plain(wrong, 80, {{"NO_COLOR", "1"}});
  CHECK(plain.wait() == 2);
  Terminal dumb(wrong, 80, {{"TERM", "dumb"}});
  CHECK(dumb.wait() == 2);
  for (const Terminal* terminal : {&plain, &dumb}) {
    CHECK_THAT(terminal->output(), Contains("did you mean 'rank'") && !Contains("\x1b"));
  }
  check_refused(wrong, 2, {"[recipe] ", " (did you mean 'rank'?)"});

  Terminal trained({"lora-train", recipe, "training.max_steps=2", "export=[peft]"}, 80);
  CHECK(trained.wait() == 0);
  CHECK_THAT(trained.output(), Contains("\x1b[2mMemory\x1b[0m      about") && Contains("\x1b[2m  adapted ") &&
                                   Contains("\x1b[2mwrote\x1b[0m") && Contains("\x1b[1mTry it:\x1b[0m"));
}

TEST_CASE("a dumb terminal gets no escape sequence, and one of NO_COLOR no colour") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  Terminal dumb({"lora-train", recipe, "training.max_steps=3"}, 80, {{"TERM", "dumb"}});
  CHECK(dumb.wait() == 0);
  CHECK_THAT(dumb.output(), !Contains("\x1b") && Contains("step 3/3  loss"));
  Terminal plain({"lora-train", recipe, "--dry-run"}, 80, {{"NO_COLOR", "1"}});
  CHECK(plain.wait() == 0);
  CHECK_THAT(plain.output(), !Contains("\x1b[2m") && Contains("⟦"));
  Terminal coloured({"lora-train", recipe, "--dry-run"}, 80);
  CHECK(coloured.wait() == 0);
  CHECK_THAT(coloured.output(), Contains("\x1b[2m"));
}

TEST_CASE("a chat at a terminal has a prompt sign, and Ctrl-C does not end it") {
  Terminal chat(
      {"lora-generate", (quickstart() / "model").string(), "--chat", "--interactive", "--max-new-tokens", "4"}, 80);
  REQUIRE(chat.wait_for("> "));
  chat.type("half a line");
  REQUIRE(chat.wait_for("half a line"));
  // As a person's: a signal that comes before libedit reads again waits for the next key.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  chat.type("\x03");
  REQUIRE(chat.wait_for("> "));
  chat.type("Grüße aus 北京\r");
  CHECK(chat.wait_for("Grüße aus 北京"));
  CHECK(chat.wait_for("written"));
  chat.type("/reset\r");
  CHECK(chat.wait_for("forgotten"));
  chat.type("/adapter none\r");
  CHECK(chat.wait_for("the base alone answers"));
  chat.type("/quit\r");
  CHECK(chat.wait() == 0);
  for (const std::string& line : lines_of(chat.output())) {
    if (line.starts_with("chat template: ") || line.starts_with("commands are ")) CHECK(lora::width_of(line) <= 80);
  }
}

TEST_CASE("an answer ends where its reader says so, and is what was read") {
  const auto tokenizer = lora::load_tokenizer(quickstart() / "model", {});
  const auto model = lora::load_model({.path = (quickstart() / "model").string()}, *tokenizer, 1, {});
  lora::Generator generator(*model);
  const lora::GenerationConfig config{.max_new_tokens = 40};
  const auto prompt = lora::encode_prompt(*tokenizer, "The house of", false);
  const auto whole = lora::stream_answer(generator, *tokenizer, prompt, config, [](std::string_view) { return true; });
  std::string read;
  int pieces = 0;
  const auto part = lora::stream_answer(generator, *tokenizer, prompt, config, [&](std::string_view text) {
    read += text;
    return ++pieces < 3;
  });
  CHECK(whole.written > 8);
  CHECK(part.written == 3);
  CHECK(part.text == read);
  CHECK(whole.text.starts_with(part.text));
}
