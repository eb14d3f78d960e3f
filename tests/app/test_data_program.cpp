// lora-data from outside, and what cleaning and mixing do to a run.

#include <nlohmann/json.hpp>

#include "models/io/safetensors.h"
#include "tests/app/command.h"
#include "tests/catch.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;
using nlohmann::json;

// Two sources with planted copies, and validation data of which one row leaked.
std::string two_source_recipe(const TemporaryDirectory& directory, const std::string& data = "  cache_dir: null\n") {
  std::string facts, chat;
  for (int i = 0; i < 30; ++i) {
    facts += json{{"prompt", "Question: What is number " + std::to_string(i * 7919) + "?\nAnswer:"},
                  {"completion", " it is " + std::to_string(i)}}
                 .dump() +
             "\n";
  }
  facts += json{{"prompt", "QUESTION: What is  number 0?\nAnswer:"}, {"completion", " it is 0"}}.dump() + "\n";
  for (int i = 0; i < 6; ++i)
    chat += json{{"text", "Villager <b>" + std::to_string(i * 104729) + "</b> says hello"}}.dump() + "\n";
  chat += json{{"text", "write to villager@example.org"}}.dump() + "\n";
  write_bytes(directory / "facts.jsonl", facts);
  write_bytes(directory / "chat.jsonl", chat);
  write_bytes(directory / "valid.jsonl",
              "{\"text\": \"Villager <b>104729</b> says hello!\"}\n{\"text\": \"A door\"}\n");
  const auto path = [&](const std::string& name) { return (directory / name).string(); };
  write_bytes(directory / "recipe.yaml",
              "model: {path: " + (source_dir() / "recipes/quickstart/model").string() + ", dtype: float32}\n" +
                  "adapter: {rank: 2, target_modules: [q_proj]}\ndata:\n  train:\n    - {path: " + path("facts.jsonl") +
                  ", format: completion}\n    - {path: " + path("chat.jsonl") +
                  ", format: text}\n  validation: [{path: " + path("valid.jsonl") + ", format: text}]\n" + data +
                  "training: {max_steps: 8, batch_size: 2, max_length: 64, checkpoint_every: 4}\noutput_dir: " +
                  path("run") + "\n");
  return path("recipe.yaml");
}

TEST_CASE("lora-data report says what is there, as text and as a page") {
  const TemporaryDirectory directory;
  const std::string page = (directory / "page.html").string(), findings = (directory / "findings.jsonl").string();
  const Outcome outcome = run({"lora-data", "report", two_source_recipe(directory), "--html", page, "--findings",
                               findings, "data.cleaning.exact_duplicates=drop"});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("exact_duplicates") && Contains("facts.jsonl:31: the same as") &&
                              Contains("valid.jsonl:1") && Contains("e-mail address") &&
                              Contains("sequences an epoch"));
  const std::string html = read_bytes(page);
  CHECK_THAT(html, Contains("&lt;b&gt;104729&lt;/b&gt;") && !Contains("villager@example.org") && Contains("</html>"));
  std::map<std::string, int> rules;
  std::istringstream lines(read_bytes(findings));
  for (std::string line; std::getline(lines, line);) ++rules[json::parse(line).at("rule").get<std::string>()];
  CHECK(rules["exact_duplicates"] == 1);
  CHECK(rules["contamination"] == 1);
  CHECK(rules["pii"] == 1);
  CHECK_FALSE(std::filesystem::exists(directory / "run"));
}

TEST_CASE("lora-data preview shows the rows that are asked for") {
  const TemporaryDirectory directory;
  const std::string recipe = two_source_recipe(directory);
  const Outcome outcome = run({"lora-data", "preview", recipe, "--row", "2", "--count", "1"});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("facts.jsonl:2 ") && Contains("⟦<s>│") && Contains("sample 1,"));
  CHECK_THAT(outcome.out, !Contains("facts.jsonl:3"));
  CHECK_THAT(run({"lora-data", "preview", recipe, "--source", "2", "--count", "1", "--ids"}).out, Contains("trained"));
  const Outcome none = run({"lora-data", "preview", recipe, "--row", "99"});
  CHECK(none.exit_code == 3);
  CHECK_THAT(none.err, Contains("has 31 rows, expected one from row 99 on"));
  CHECK(run({"lora-data", "preview", recipe, "--source", "3"}).exit_code == 2);
}

TEST_CASE("lora-data prepare writes the data that training would see") {
  const TemporaryDirectory directory;
  const std::string recipe =
      two_source_recipe(directory, "  cache_dir: null\n  cleaning: {exact_duplicates: drop, contamination: drop}\n");
  const std::string output = (directory / "prepared").string();
  const Outcome outcome = run({"lora-data", "prepare", recipe, "--output", output});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  const SafetensorsFile file(output + "/train.safetensors");
  const at::Tensor ends = file.tensor("ends"), ids = file.tensor("input_ids");
  CHECK(ends.size(0) == 36);
  CHECK(ends[-1].item<int64_t>() == ids.size(0));
  CHECK(file.tensor("supervised").sizes() == ids.sizes());
  const json manifest = json::parse(read_bytes(output + "/manifest.json"));
  CHECK(manifest.at("sources")[0].at("dropped") == 1);
  CHECK(manifest.at("sources")[1].at("dropped") == 1);
  CHECK(manifest.at("files").contains("validation.safetensors"));
  CHECK(run({"lora-data", "prepare", recipe, "--output", output}).exit_code == 5);
}

TEST_CASE("a run says what cleaning found and how sources are mixed, and resumes where it stopped") {
  const TemporaryDirectory directory;
  std::string recipe = two_source_recipe(
      directory,
      "  cache_dir: null\n  mixing: {strategy: weights, by: tokens}\n  cleaning: {exact_duplicates: drop}\n");
  const Outcome whole = run({"lora-train", recipe, "data.train.1.weight=3"});
  CAPTURE(whole.out, whole.err);
  REQUIRE(whole.exit_code == 0);
  CHECK_THAT(whole.out,
             Contains("1 row dropped (exact_duplicates 1)") && Contains("mixed by tokens") && Contains("75.00 %"));
  CHECK_THAT(whole.err, Contains("also stands in the validation data"));
  const std::string other = "output_dir=" + (directory / "other").string();
  REQUIRE(run({"lora-train", recipe, "data.train.1.weight=3", other, "training.max_steps=4",
               "training.lr_schedule=constant"})
              .exit_code == 0);
  REQUIRE(run({"lora-train", recipe, "data.train.1.weight=3", other, "training.lr_schedule=constant", "--resume"})
              .exit_code == 0);
  const std::string uninterrupted = "output_dir=" + (directory / "third").string();
  REQUIRE(
      run({"lora-train", recipe, "data.train.1.weight=3", uninterrupted, "training.lr_schedule=constant"}).exit_code ==
      0);
  CHECK(read_bytes(directory / "other/adapter/adapter_model.safetensors") ==
        read_bytes(directory / "third/adapter/adapter_model.safetensors"));
}

TEST_CASE("a source that cleaning empties ends a run with the exit code of data") {
  const TemporaryDirectory directory;
  const Outcome outcome =
      run({"lora-train", two_source_recipe(directory), "data.cleaning.length={action: drop, max_chars: 36}"});
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 3);
  CHECK_THAT(outcome.err, Contains("facts.jsonl: none of its 31 rows is left"));
}

}  // namespace
}  // namespace lora::test
