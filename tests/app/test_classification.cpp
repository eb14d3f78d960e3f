// Classification from outside: labels from a CSV file, their metrics, a stop and a resume, exports, lora-classify, and
// what bad input gets.

#include <fstream>
#include <nlohmann/json.hpp>

#include "lora/checkpoints/store.h"
#include "tests/app/runs.h"
#include "tests/app/terminal.h"
#include "tests/catch.h"
#include "tests/golden.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// Three labels that a word gives away; quotes, commas and line ends within.
std::string labelled_rows(int64_t count) {
  const char* words[] = {"goat", "red, \"\"bright\"\"", "baker"};
  const char* labels[] = {"animal", "colour", "trade"};
  std::string text = "id,category,body\r\n";
  for (int64_t i = 0; i < count; ++i) {
    const int64_t label = i * 5 % 3;
    text +=
        std::to_string(i) + "," + labels[label] + ",\"Villager " + std::to_string(i) + ":\n" + words[label] + ".\"\r\n";
  }
  return text;
}

fs::path model() { return source_dir() / "recipes/quickstart/model"; }

std::string classifier_recipe(const TemporaryDirectory& directory, const std::string& adapter = "rank: 4, alpha: 8") {
  write_bytes(directory / "train.csv", labelled_rows(60));
  write_bytes(directory / "valid.csv", labelled_rows(9));
  const std::string source = "format: classification, fields: {text: body, label: category}}]\n";
  write_bytes(directory / "recipe.yaml",
              "model: {path: " + model().string() + ", dtype: float32, head: sequence_classification}\n" +
                  "adapter: {" + adapter + ", target_modules: [q_proj, v_proj]}\n" +
                  "data:\n  train: [{path: " + (directory / "train.csv").string() + ", " + source +
                  "  validation: [{path: " + (directory / "valid.csv").string() + ", " + source +
                  "training: {max_steps: 24, batch_size: 20, packing: false, max_length: 128, learning_rate: 5.0e-3,\n"
                  "           learning_rates: {head: 2.0e-2}, lr_schedule: constant, eval_every: 12, checkpoint_every: "
                  "6}\noutput_dir: " +
                  (directory / "run").string() + "\n");
  return (directory / "recipe.yaml").string();
}

}  // namespace

TEST_CASE("a classifier is trained from CSV, evaluated, exported and asked") {
  const TemporaryDirectory directory;
  const Outcome outcome = run({"lora-train", classifier_recipe(directory), "export=[peft, huggingface, torchscript]"});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("3: animal (20), colour (20), trade (20)") && Contains("macro-F1") &&
                              Contains("label \\ predicted"));
  json last;
  for (const json& row : comparable(directory / "run")) {
    if (row.contains("eval_loss")) last = row;
  }
  CHECK(last["eval_accuracy"] == 1.0);
  CHECK(last["eval_macro_f1"] == 1.0);
  CHECK_FALSE(last.contains("eval_perplexity"));
  const fs::path out = directory / "run";
  for (const fs::path& place : {out / "adapter", CheckpointStore(out).directory(24)}) {
    CHECK(read_json(place / "labels.json")["id2label"]["1"] == "colour");
  }
  CHECK(read_json(out / "merged/config.json")["label2id"]["trade"] == 2);

  for (const fs::path& classifier : {out, out / "adapter", out / "merged", CheckpointStore(out).directory(24)}) {
    const Outcome asked = run({"lora-classify", classifier.string(), "Villager 7:\nbaker.", "Villager 8:\ngoat."});
    CAPTURE(classifier, asked.err);
    CHECK(asked.exit_code == 0);
    CHECK_THAT(asked.out, Contains("trade\t") && Contains("\tVillager 7:↵baker.\nanimal\t"));
  }
  Terminal narrow({"lora-classify", out.string(), "Villager 7 is a 面包师, and this text goes on for many columns"},
                  40);
  CHECK(narrow.wait() == 0);
  CHECK_THAT(narrow.output(), Contains("\tVillager 7 is a 面包师…"));
  const Outcome file =
      run({"lora-classify", out.string(), "--input", (directory / "valid.csv").string(), "--column", "body"});
  CHECK(std::ranges::count(file.out, '\n') == 9);
  CHECK_THAT(file.out, Contains("colour\t"));
}

TEST_CASE("of many labels a run tells the least and the most frequent, and a dry run all") {
  const TemporaryDirectory directory;
  const std::string recipe = classifier_recipe(directory);
  std::string rows = "id,category,body\n";
  for (int label = 1; label <= 25; ++label) {
    for (int i = 0; i < label; ++i) rows += "1,label" + std::to_string(label) + ",text " + std::to_string(i) + "\n";
  }
  write_bytes(directory / "train.csv", rows);
  const std::vector<std::string> command = {"lora-train", recipe, "data.validation=null", "training.max_steps=1",
                                            "training.eval_every=0"};
  const Outcome outcome = run(command);
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("25, with 1 (label1) to 25 (label25) samples each; --dry-run lists them\n"));
  std::vector<std::string> dry = command;
  dry.insert(dry.end(), {"--dry-run", "output_dir=" + (directory / "other").string()});
  CHECK_THAT(run(dry).out, Contains("25: label1 (1), label10 (10), "));
}

TEST_CASE("a classifier's run that is stopped and resumed gives the bits of one that never stopped") {
  for (const char* adapter : {"rank: 4, alpha: 8, dropout: 0.1", "method: full"}) {
    const TemporaryDirectory whole, parts;
    REQUIRE(run({"lora-train", classifier_recipe(whole, adapter), "export=[huggingface]"}).exit_code == 0);
    const std::string recipe = classifier_recipe(parts, adapter);
    REQUIRE(run({"lora-train", recipe}).exit_code == 0);
    // As if it had been killed after step 18.
    fs::remove_all(CheckpointStore(parts / "run").directory(24));
    const Outcome resumed = run({"lora-train", recipe, "--resume", "export=[huggingface]"});
    CAPTURE(adapter, resumed.out, resumed.err);
    REQUIRE(resumed.exit_code == 0);
    CHECK_THAT(resumed.out, Contains("Resuming after step 18"));
    CHECK(comparable(parts / "run") == comparable(whole / "run"));
    CHECK(read_bytes(parts / "run/merged/model.safetensors") == read_bytes(whole / "run/merged/model.safetensors"));
    const Outcome exported = run(
        {"lora-export", (parts / "run").string(), "--format", "huggingface", "--output", (parts / "again").string()});
    CHECK(exported.exit_code == 0);
    CHECK(read_bytes(parts / "again/model.safetensors") == read_bytes(parts / "run/merged/model.safetensors"));
    CHECK(read_bytes(parts / "again/config.json") == read_bytes(parts / "run/merged/config.json"));
  }
}

TEST_CASE("training continues from a classifier, or from its adapter, with its labels") {
  const TemporaryDirectory directory;
  const std::string recipe = classifier_recipe(directory);
  REQUIRE(run({"lora-train", recipe, "export=[huggingface, peft]"}).exit_code == 0);
  // Rows of one label alone: the others are still the model's.
  write_bytes(directory / "train.csv", "id,category,body\n1,trade,baker\n2,trade,smith\n");
  for (const std::string& change : {"model.path=" + (directory / "run/merged").string(),
                                    "adapter.init_from=" + (directory / "run/adapter").string()}) {
    const Outcome outcome = run({"lora-train", recipe, change, "--dry-run"});
    CAPTURE(outcome.out, outcome.err);
    CHECK(outcome.exit_code == 0);
    CHECK_THAT(outcome.out, Contains("3: animal (0), colour (0), trade (2)") && Contains("→ trade"));
  }
  check_refused({"lora-train", recipe, "--dry-run"}, 3, {"every row has the label 'trade'"});
  // Other rows than the checkpoint's, and with them other labels.
  write_bytes(directory / "train.csv", "id,category,body\n1,animal,a\n2,colour,b\n3,tradesman,c\n");
  write_bytes(directory / "valid.csv", "id,category,body\n1,animal,a\n");
  check_refused({"lora-train", recipe, "--resume"}, 3,
                {"train.csv: found ", "expected what the checkpoint was trained on"});
}

TEST_CASE("bad labels, rows and models are refused before anything is written") {
  const TemporaryDirectory directory;
  const std::string recipe = classifier_recipe(directory);
  write_bytes(directory / "valid.csv", "id,category,body\n1,trade,x\n2,tade,y\n");
  check_refused({"lora-train", recipe}, 3, {"valid.csv:3: unknown label 'tade'", "did you mean 'trade'"});
  write_bytes(directory / "valid.csv", "id,category,body\n1,trade,x,y\n");
  check_refused({"lora-train", recipe}, 3, {"valid.csv:2: found 4 fields, expected 3"});
  write_bytes(directory / "valid.csv", labelled_rows(3));
  check_refused({"lora-train", recipe, "model.head=none"}, 2, {"classification does not go with model.head none"}, 2);
  check_refused({"lora-train", recipe, "evaluation.exact_match=3"}, 2, {"writes no answers"});
  check_refused({"lora-train", recipe, "adapter.modules_to_save=[lm_head]"}, 2, {"'lm_head' matches no module"});
  CHECK_FALSE(fs::exists(directory / "run/recipe.yaml"));
  check_refused({"lora-classify", model().string(), "x"}, 4, {"is a language model; expected a classifier"});
  check_refused({"lora-classify", (directory / "none").string(), "x"}, 5, {"neither a run directory"});
}
