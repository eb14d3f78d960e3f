// Files that are no recipe, text that is no YAML, and how the errors of a whole file are told.

#include <sstream>

#include "lora/recipe/document.h"
#include "lora/recipe/problems.h"
#include "lora/recipe/recipe.h"
#include "tests/catch.h"
#include "tests/recipe/bad_lines.h"

namespace lora::test {
namespace {

TEST_CASE("a file that is not a recipe is refused") {
  const TemporaryDirectory directory;
  const auto error = [](const std::filesystem::path& file) -> std::string {
    try {
      load_recipe(file);
    } catch (const RecipeError& e) {
      return e.what();
    }
    return "loaded";
  };
  const std::string at = "[recipe] " + directory.path().string();
  CHECK(error(directory.path()) == at + ": a directory; expected a recipe file");
  CHECK(error(directory / "no.yaml") == at + "/no.yaml: no such file; expected a recipe");
  CHECK(error_of(std::string((size_t{1} << 20) + 1, '\n')) == "[recipe] a.yaml: larger than 1 MiB; expected a recipe");
  for (const char* empty : {"", "\n\n", "# nothing\n", "---\n", "null\n"}) {
    CHECK(error_of(empty) == "[recipe] a.yaml: empty; expected a recipe, with model, adapter, data and training");
  }
  CHECK(error_of("- a\n- b\n") ==
        "[recipe] a.yaml:1:1: expected a map with model, adapter, data, training; found a list");
  CHECK(error_of("hello\n") ==
        "[recipe] a.yaml:1:1: expected a map with model, adapter, data, training; found 'hello'");
}

TEST_CASE("text that is no YAML, or more than a recipe may use of it, is refused where it stands") {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"model:\n\tpath: x\n", "2:1: a tab in the indentation; YAML is indented by spaces"},
      {"model:\n  \tpath: x\n", "2:3: a tab in the indentation; YAML is indented by spaces"},
      {"model: {path: x}\n---\nadapter: {}\n", "2:1: a second document; a recipe is one"},
      {"model: &base {path: x}\n",
       "1:8: '&base' is an anchor or alias, which a recipe cannot have; write the value out, or quote it"},
      {"model: {path: &p x}\n",
       "1:15: '&p' is an anchor or alias, which a recipe cannot have; write the value out, or quote it"},
      {"model: {path: !!str x}\n", "1:15: a tag ('tag:yaml.org,2002:str'), which a recipe cannot have"},
      {"? [model]\n: {}\n", "1:3: expected a key, which is a plain name"},
      {"model: {path: \x01}\n", "1:15: control character 1; expected a recipe in YAML"},
      {"model: {path: \xFF}\n", "1:15: this byte is not UTF-8 text; expected a recipe in YAML"},
      {"model: {path: \xC3(}\n", "1:16: this byte is not UTF-8 text; expected a recipe in YAML"},
  };
  for (const auto& [yaml, message] : table) {
    INFO(yaml);
    CHECK_THAT(error_of(yaml), Catch::Matchers::Contains("[recipe] a.yaml:" + message));
  }
  CHECK(error_of("model:\n  path: [x\n").starts_with("[recipe] a.yaml:3:1: not valid YAML: "));
  CHECK(error_of("model: *base\n").starts_with("[recipe] a.yaml:1:8: not valid YAML: "));
}

TEST_CASE("text that is no YAML is explained by what people mostly do wrong") {
  const auto check = [](const std::string& yaml, const std::string& place, const std::string& advice) {
    INFO(yaml);
    CHECK_THAT(error_of(yaml), Catch::Matchers::StartsWith("[recipe] a.yaml:" + place + ": not valid YAML: ") &&
                                   Catch::Matchers::Contains(advice));
  };
  check(with_line(4, "  target_modules: [q_proj]\n    rank: 4"), "5:5",
        "the keys of one section begin in the same column");
  check(with_line(4, "  target_modules: [q_proj]\n rank: 4"), "5:2",
        "the keys of one section begin in the same column");
  check(with_line(2, "  path: models: tiny"), "2:15", "a text with ': ' in it needs quotes");
  check(with_line(7, "    - {path: *.jsonl}"), "7:14", "such as a pattern: \"*.jsonl\"");
  check(with_line(7, "    - {path: a.jsonl, format: text"), "8:9", "a { without its }");
  check(with_line(4, "  target_modules: [q_proj, v_proj"), "5:5", "a [ without its ]");
}

TEST_CASE("all errors of a recipe are in one answer, in the order of the file") {
  const std::string yaml =
      "training:\n"                                                     // 1
      "  max_steps: many\n"                                             // 2
      "  batch_size: 0\n"                                               // 3
      "  warmup_steps: 5\n"                                             // 4
      "  warmup_ratio: 0.1\n"                                           // 5
      "model: {pth: models/tiny, dtype: half}\n"                        // 6
      "adapter:\n"                                                      // 7
      "  method: qlora\n"                                               // 8
      "  lora_rank: 8\n"                                                // 9
      "  rank: 4\n"                                                     // 10
      "  rank: 6\n"                                                     // 11
      "  rank_pattern: {q_proj: 0, v_proj: many}\n"                     // 12
      "data:\n"                                                         // 13
      "  train:\n"                                                      // 14
      "    - {path: a.jsonl, format: txt}\n"                            // 15
      "    - {format: text, fields: {test: body}, weight: 2}\n"         // 16
      "    - b.jsonl\n"                                                 // 17
      "  cleaning: {pii: yes, length: {min_chars: 9, max_chars: 3}}\n"  // 18
      "export: [peft, hf]\n"                                            // 19
      "ouput_dir: x\n";                                                 // 20
  std::vector<std::string> lines;
  std::istringstream message(error_of(yaml, {"training.seed=-1", "evaluation.show"}));
  for (std::string line; std::getline(message, line);) lines.push_back(line);
  const auto expect = [&](size_t i, const std::string& beginning) {
    REQUIRE(i < lines.size());
    CHECK_THAT(lines[i], Catch::Matchers::StartsWith("[recipe] " + beginning));
  };
  const std::vector<std::string> expected = {
      "a.yaml:2:14: training.max_steps: expected an integer, found 'many'",
      "a.yaml:3:15: training.batch_size: expected an integer >= 1, found '0'",
      "a.yaml:5:17: training.warmup_ratio: warmup_steps is given too",
      "a.yaml:6:9: unknown key 'pth' in 'model' (did you mean 'path'?)",
      "a.yaml:6:34: model.dtype: expected one of auto, float32, bfloat16, float16, found 'half'",
      "a.yaml:8:11: adapter.method: expected one of ",
      "a.yaml:9:3: unknown key 'lora_rank' in 'adapter' (did you mean 'rank'?)",
      "a.yaml:11:3: duplicate key 'rank', first given at a.yaml:10:3",
      "a.yaml:12:26: adapter.rank_pattern.q_proj: expected an integer >= 1, found '0'",
      "a.yaml:12:37: adapter.rank_pattern.v_proj: expected an integer, found 'many'",
      "a.yaml:15:31: data.train.0.format: expected one of ",
      "a.yaml:16:7: missing key 'path' in 'data.train.1'",
      "a.yaml:16:37: unknown key 'test' in 'data.train.1.fields' (did you mean 'text'?)",
      "a.yaml:16:52: data.train.1.weight: only with data.mixing.strategy weights or temperature",
      "a.yaml:17:7: data.train.2: expected a map, found 'b.jsonl'",
      "a.yaml:18:19: data.cleaning.pii: expected one of ",
      "a.yaml:18:58: data.cleaning.length.max_chars: is less than min_chars",
      "a.yaml:19:16: export.1: expected one of ",
      "a.yaml:20:1: unknown key 'ouput_dir' (did you mean 'output_dir'?)",
      "override 'evaluation.show': expected key.path=value",
      "override 'training.seed=-1': expected an integer from 0 to 18446744073709551615, found '-1'",
  };
  for (size_t i = 0; i < expected.size(); ++i) expect(i, expected[i]);
  CHECK(lines.size() == expected.size());
}

TEST_CASE("an error is reported once, and what follows from it is not") {
  // A misspelt key is not missing as well, and rules on a value that could not be read are not applied.
  CHECK(error_of(with_line(9, "  num_epochs: 3")) ==
        "[recipe] a.yaml:9:3: unknown key 'num_epochs' in 'training' (did you mean 'epochs'?)");
  CHECK(error_of(with_line(2, "  base_model: x")) ==
        "[recipe] a.yaml:2:3: unknown key 'base_model' in 'model' (did you mean 'path'?)");
  CHECK(error_of(with_line(4, "  method: fulll\n  rank_pattern: {q: 2}"), {"export=[peft]"}).find('\n') ==
        std::string::npos);
  CHECK(error_of(with_line(6, "  mixing: {strategy: weight}\n  train:"), {"data.train.0.weight=3"}).find('\n') ==
        std::string::npos);
}

TEST_CASE("a tab elsewhere than in the indentation does no harm") {
  CHECK(error_of(with_line(2, "  path: x\t# the model\n\t\n\t# done")) == "loaded");
}

TEST_CASE("escapes of YAML's that are two bytes of UTF-8 are both of them") {
  Problems problems;
  const YamlNode root = parse_document("a: \"x\\Ny\\_z\"\n", {"recipe.yaml", true}, problems);
  REQUIRE(problems.empty());
  CHECK(root.entries.front().value.text == "x\xC2\x85y\xC2\xA0z");
}

TEST_CASE("a message stays one line of moderate length whatever the file holds") {
  const std::string message = error_of(kMinimal + "\"a\\nb" + std::string(500, 'x') + "\": 1\n");
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.size() < 200);
}

}  // namespace
}  // namespace lora::test
