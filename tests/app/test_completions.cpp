// Completions, read by the shells that are installed, and the manual page.

#include <cstdio>
#include <set>
#include <sstream>

#include "lora/export/export.h"
#include "lora/recipe/keys.h"
#include "lora/recipe/recipe_text.h"
#include "lora/recipe/starting.h"
#include "tests/app/runs.h"

using namespace lora::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

using Words = std::set<std::string>;

bool has_shell(const std::string& shell) {
  const bool has = std::system(("command -v " + shell + " >/dev/null 2>&1").c_str()) == 0;
  if (!has) WARN(shell << " is not installed");
  return has;
}

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  for (size_t count; (count = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, count);
  ::pclose(pipe);
  return text;
}

// What a shell offers for the last of some words, which may be empty.
class Shell {
 public:
  Shell(std::string name, const std::string& program) : name_(std::move(name)), program_(program) {
    const Outcome printed = run({program, "--completion", name_});
    REQUIRE(printed.exit_code == 0);
    write_bytes(script(), printed.out);
    for (const char* file : {"mine.yaml", "rows.jsonl"}) write_bytes(directory_ / file, "x");
  }

  Words offered(const std::vector<std::string>& words) const {
    std::string text;
    if (name_ == "bash") text = in_bash(words);
    if (name_ == "fish") text = in_fish(words);
    if (name_ == "zsh") text = in_zsh(words);
    Words offered;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty()) offered.insert(line.substr(0, line.find('\t')));
    }
    return offered;
  }

 private:
  std::string script() const { return (directory_ / "completion").string(); }
  std::string here() const { return "cd " + directory_.path().string() + " && "; }

  static std::string quoted(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += " '" + word + "'";
    return text;
  }

  std::string in_bash(const std::vector<std::string>& words) const {
    std::string function = "_" + program_;
    std::ranges::replace(function, '-', '_');
    write_bytes(directory_ / "ask", "source " + script() + "\nCOMP_WORDS=(" + program_ + quoted(words) +
                                        ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n" + function +
                                        "\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
    return output_of(here() + "bash ask");
  }
  std::string in_fish(const std::vector<std::string>& words) const {
    std::string line = program_;
    for (const std::string& word : words) line += " " + word;
    write_bytes(directory_ / "ask", "source " + script() + "\ncomplete -C '" + line + "'\n");
    return output_of(here() + "HOME=. fish --no-config ask");
  }
  // Completes in a shell with a terminal. Every completion of zsh ends in compadd, which writes down here what fits.
  std::string in_zsh(const std::vector<std::string>& words) const {
    fs::create_directories(directory_ / "functions");
    fs::copy_file(script(), directory_ / ("functions/_" + program_), fs::copy_options::overwrite_existing);
    write_bytes(directory_ / "setup", R"(fpath=($PWD/functions $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
  local -a fitting
  if [[ " $* " == *' -'[OAD]' '* ]]; then builtin compadd "$@"; return; fi
  builtin compadd -A fitting "$@"
  print -rl -- $fitting >>.offers
}
tell() { print done >.told }
comppostfuncs=(tell)
bindkey '^I' complete-word
print ready >.ready
)");
    std::string line = program_;
    for (const std::string& word : words) line += " " + word;
    write_bytes(directory_ / "ask", R"(zmodload zsh/zpty
wait_for() { repeat 600; do [[ -e $1 ]] && return; sleep 0.05; done; print "no $1"; exit 1 }
rm -f .ready .told .offers
zpty asked zsh -f -i
zpty -w asked 'source ./setup'
wait_for .ready
zpty -w -n asked $')" + line + R"(\t'
wait_for .told
zpty -d asked
[[ ! -e .offers ]] || cat .offers
)");
    return output_of(here() + "zsh -f ask");
  }

  TemporaryDirectory directory_;
  std::string name_, program_;
};

void expect_offers(const std::string& shell) {
  const Shell train(shell, "lora-train"), generate(shell, "lora-generate"), write(shell, "lora-export");
  const Shell data(shell, "lora-data");
  CHECK(generate.offered({"--dtype", "b"}) == Words{"bfloat16"});
  CHECK(generate.offered({"m", "--device", "cu"}) == Words{"cuda"});
  CHECK(generate.offered({"m", "--max-new-tokens", "r"}) == Words{});
  CHECK(write.offered({"run", "--format", "gguf-q"}) == Words{"gguf-q8_0"});
  CHECK(train.offered({"--new", "method-d"}) == Words{"method-dora"});
  CHECK(train.offered({"--completion", "z"}) == Words{"zsh"});
  CHECK(train.offered({"--convert", "r"}) == Words{"rows.jsonl"});
  CHECK(train.offered({"--list"}) == Words{"--list-recipes"});
  CHECK(train.offered({"min"}) == Words{"mine.yaml"});
  CHECK(train.offered({"mine.yaml", "training.learning_rate"}) ==
        Words{"training.learning_rate=", "training.learning_rates="});
  CHECK(train.offered({"mine.yaml", "data.train.0.pa"}) == Words{"data.train.0.path="});
  CHECK(data.offered({"rep"}) == Words{"report"});
  CHECK(data.offered({"preview", "--cou"}) == Words{"--count"});
  CHECK(data.offered({"report", "mine.yaml", "output_"}) == Words{"output_dir="});
}

}  // namespace

TEST_CASE("bash completes options, their values, names of recipes and the keys of overrides") {
  if (!has_shell("bash")) return;
  expect_offers("bash");
  const Shell generate("bash", "lora-generate"), train("bash", "lora-train");
  // Bash's words of --dtype=b and of training.seed=r.
  CHECK(generate.offered({"--dtype", "=", "b"}) == Words{"bfloat16"});
  CHECK(generate.offered({"--dtype", "="}) == Words{"float32", "bfloat16", "float16", "auto"});
  CHECK(train.offered({"mine.yaml", "data.train.0.path", "=", "r"}) == Words{"rows.jsonl"});
  const Words templates = generate.offered({"m", "--template", ""});
  CHECK((templates.contains("chatml") && templates.contains("rows.jsonl")));
}

TEST_CASE("fish completes options, their values, names of recipes and the keys of overrides") {
  if (has_shell("fish")) expect_offers("fish");
}

TEST_CASE("zsh completes options, their values, names of recipes and the keys of overrides") {
  if (has_shell("zsh")) expect_offers("zsh");
}

TEST_CASE("completions show no type of a value, and offer what the program takes") {
  const Outcome zsh = run({"lora-train", "--completion", "zsh"});
  CHECK_THAT(zsh.out, StartsWith("#compdef lora-train\n") && !Contains("SHELL") && Contains(":(bash zsh fish)"));
  const std::string bash = run({"lora-train", "--completion", "bash"}).out;
  for (const auto& [name, about] : lora::starting_recipes(source_dir() / "recipes")) CHECK_THAT(bash, Contains(name));
  for (const std::string& path : lora::override_paths()) CHECK_THAT(bash, Contains(path + "="));
  const std::string write = run({"lora-export", "--completion", "fish"}).out;
  for (const std::string& name : lora::export_names().known) CHECK_THAT(write, Contains(name));
}

TEST_CASE("every path that is offered for an override is a key of a recipe") {
  const std::vector<std::string> paths = lora::override_paths();
  const Words all(paths.begin(), paths.end());
  CHECK(all.size() == paths.size());
  CHECK(all.size() > 100);
  for (const char* path : {"model.path", "data.train.0.format", "data.cleaning.length.max_chars", "output_dir",
                           "training.preference.beta", "adapter.adalora.tinit", "export"}) {
    CHECK(all.contains(path));
  }
  for (const char* path : {"training", "data.train", "adapters"}) CHECK_FALSE(all.contains(path));
  for (const std::string& path : paths) CHECK_THAT(lora::value_problem(path, "{}"), !Contains("unknown key"));
}

TEST_CASE("the synopsis of a manual page has brackets around what may be left out") {
  const std::string train = run({"lora-train", "--man"}).out, data = run({"lora-data", "--man"}).out;
  CHECK_THAT(train, Contains(".SH SYNOPSIS\n\\fBlora\\-train\\fR [\\fIRECIPE\\fR] [\\fIKEY=VALUE\\fR ...] "
                             "[\\fIOPTIONS\\fR]\n") &&
                        Contains("\\fBKEY=VALUE\\fR\n") && !Contains("OVERRIDES"));
  CHECK_THAT(data, Contains("\\fBlora\\-data\\fR \\fBreport\\fR \\fIRECIPE\\fR [\\fIKEY=VALUE\\fR ...] "
                            "[\\fIOPTIONS\\fR]\n.br\n"));
  CHECK_THAT(run({"lora-inspect", "--man"}).out, Contains("\\fBlora\\-inspect\\fR \\fIPATH\\fR ... [\\fIOPTIONS\\fR]"));
}
