// Section D of the faults: recipes that cannot be run are refused at their place, before anything is loaded or written.

#include "tests/app/runs.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

// The quickstart's recipe with an override, or with lines in front or behind, is refused and leaves nothing.
void refused_override(const std::string& override, const std::vector<std::string>& parts) {
  const TemporaryDirectory directory;
  CAPTURE(override);
  check_refused({"lora-train", quickstart_recipe(directory), override}, 2, parts);
  CHECK_FALSE(fs::exists(directory / "run"));
}

void refused_text(const std::string& text, const std::vector<std::string>& parts, int lines = 1) {
  const TemporaryDirectory directory;
  write_bytes(directory / "recipe.yaml", text);
  check_refused({"lora-train", (directory / "recipe.yaml").string()}, 2, parts, lines);
}

std::string plain_recipe() {
  const TemporaryDirectory directory;
  return read_bytes(quickstart_recipe(directory));
}

}  // namespace

TEST_CASE("D: unknown") {
  refused_override("adapter.lora_rnak=4", {"unknown key 'lora_rnak' in 'adapter'", "did you mean 'rank'?"});
}

TEST_CASE("D: duplicate") {
  refused_text(plain_recipe() + "output_dir: x\n", {"recipe.yaml:8:1: duplicate key 'output_dir'", "first given at"});
}

TEST_CASE("D: wrong type") {
  refused_override("training.max_steps=many", {"training.max_steps=many", "expected an integer, found 'many'"});
}

TEST_CASE("D: lr NaN, Inf or negative") {
  for (const char* rate : {".nan", ".inf", "-1e-4"}) {
    refused_override(std::string("training.learning_rate=") + rate, {"expected a finite number > 0", rate});
  }
}

TEST_CASE("D: rank 0, negative or a fraction") {
  for (const char* rank : {"0", "-4", "4.5"}) {
    refused_override(std::string("adapter.rank=") + rank, {"expected an integer", rank});
  }
}

TEST_CASE("D: rank above the smaller side of its weight") {
  refused_override("adapter.rank=500", {"rank 500", "q_proj", "more than 128"});
}

TEST_CASE("D: pattern without match") {
  refused_override("adapter.rank_pattern={nothing: 4}", {"rank_pattern: 'nothing' matches no module", "q_proj"});
}

TEST_CASE("D: target not linear") {
  refused_override("adapter.target_modules=[input_layernorm]", {"input_layernorm", "is not a linear layer"});
}

TEST_CASE("D: batch 0 or overflow") {
  refused_override("training.batch_size=0", {"expected an integer >= 1"});
  for (const char* size : {"2147483648", "9223372036854775808"}) {
    refused_override(std::string("training.batch_size=") + size, {"expected an integer from 1 to 2147483647", size});
  }
}

TEST_CASE("D: nesting 10,000") {
  const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
  refused_text(plain_recipe() + "x: " + deep + "\n", {"recipe.yaml:8", "not valid YAML"});
}

TEST_CASE("D: alias bomb") {
  std::string bomb = "a0: &a0 [x]\n";
  for (int i = 1; i <= 60; ++i) {
    const std::string last = std::to_string(i - 1), own = std::to_string(i);
    bomb += "a" + own + ": &a" + own + " [*a" + last + ", *a" + last + "]\n";
  }
  const TemporaryDirectory directory;
  write_bytes(directory / "recipe.yaml", bomb + plain_recipe());
  const Outcome outcome = run({"lora-train", (directory / "recipe.yaml").string()});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("recipe.yaml:1:5: '&a0' is an anchor or alias, which a recipe cannot have"));
}

TEST_CASE("D: empty") { refused_text("", {"recipe.yaml: empty; expected a recipe"}); }

TEST_CASE("D: multi-doc") { refused_text(plain_recipe() + "---\na: 1\n", {"a second document; a recipe is one"}); }

TEST_CASE("D: tabs") { refused_text("model:\n\tpath: x\n", {"recipe.yaml:2:1: a tab in the indentation"}); }

TEST_CASE("D: NUL") { refused_text(std::string("model: \0\n", 9), {"recipe.yaml:1:8: control character 0"}); }

TEST_CASE("D: no") { refused_override("training.packing=no", {"expected true or false, found 'no'"}); }

TEST_CASE("D: 1e-4") {
  const TemporaryDirectory directory;
  const Outcome outcome = run({"lora-train", quickstart_recipe(directory), "training.learning_rate=1e-4", "--dry-run"});
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("learning_rate: 1.0e-04"));
}

TEST_CASE("D: octal") {
  for (const char* key : {"adapter.rank=", "training.learning_rate=", "training.seed=", "data.shuffle_buffer="}) {
    refused_override(std::string(key) + "010", {"found '010'; octal is not meant here"});
  }
  refused_override("training.memory_limit=010GB", {"expected a number of bytes"});
  for (const char* text : {"0x10", "0o10"}) {
    refused_override(std::string("adapter.rank=") + text, {text, "write it in decimal"});
  }
  for (const char* text : {"1_000", "1:30"}) {
    refused_override(std::string("adapter.rank=") + text, {text, "write it in digits alone"});
  }
}

TEST_CASE("D: missing path") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  check_refused({"lora-train", recipe, "model.path=/nowhere/model"}, 4, {"/nowhere/model", "model.path"});
  check_refused({"lora-train", recipe, "data.train.0.path=/nowhere.jsonl"}, 3, {"/nowhere.jsonl", "data.train.0.path"});
  CHECK_FALSE(fs::exists(directory / "run"));
}

TEST_CASE("D: epochs beyond any run") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  check_refused({"lora-train", recipe, "training.max_steps=null", "training.epochs=1e15"}, 2,
                {"training.epochs", "steps in all"});
  check_refused({"lora-train", recipe, "data.train.0.epochs=1e8"}, 3, {"train.jsonl", "samples in each epoch"});
  CHECK_FALSE(fs::exists(directory / "run"));
}

TEST_CASE("D: memory_limit that no plan keeps says what is largest") {
  refused_override("training.memory_limit=1MB", {"this run needs", "the program and its data are the most"});
}
