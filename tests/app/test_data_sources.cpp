// Where a run's rows come from, from outside: the cache, standard input, and data that changes.

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/app/runs.h"
#include "tests/catch.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

std::string question_rows(int count) { return counting_rows(count, "question", "answer"); }

std::string recipe_with(const TemporaryDirectory& directory, const std::string& data) {
  write_bytes(directory / "recipe.yaml", "model: {path: " + (source_dir() / "recipes/quickstart/model").string() +
                                             R"(, dtype: float32}
adapter: {method: lora, rank: 2, alpha: 4, target_modules: [q_proj]}
training: {max_steps: 4, batch_size: 2, max_length: 64, learning_rate: 1.0e-3, checkpoint_every: 2}
output_dir: )" + (directory / "run").string() +
                                             "\n" + data);
  return (directory / "recipe.yaml").string();
}

std::vector<double> losses(const fs::path& run) {
  std::vector<double> values;
  std::ifstream in(run / "metrics.jsonl");
  for (std::string line; std::getline(in, line);) values.push_back(nlohmann::json::parse(line).at("loss"));
  return values;
}

std::string source(const std::string& path, const std::string& format = "completion") {
  return "{path: " + path + ", format: " + format + ", fields: {prompt: question, completion: answer}}";
}

}  // namespace

TEST_CASE("a run from the cache, a fresh one and one from standard input have the same losses") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.jsonl", question_rows(40));
  const std::string cache = "  cache_dir: " + (directory / "cache").string() + "\n";
  const std::string file = source((directory / "a.jsonl").string(), "auto");
  std::vector<std::vector<double>> found;
  for (const std::string said : {"Cache       train: kept in ", "Cache       train: found in "}) {
    fs::remove_all(directory / "run");
    const Outcome outcome = run({"lora-train", recipe_with(directory, "data:\n  train: [" + file + "]\n" + cache)});
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    CHECK_THAT(outcome.out, Contains(said) && Contains("completion, its columns are 'question', 'answer'"));
    CHECK_THAT(outcome.out, Contains("Packing     ") && Contains(" % full"));
    found.push_back(losses(directory / "run"));
  }
  fs::remove_all(directory / "run");
  const Outcome piped =
      run({"lora-train", recipe_with(directory, "data:\n  train: [" + source("'-'") + "]\n")}, question_rows(40));
  CAPTURE(piped.err);
  REQUIRE(piped.exit_code == 0);
  found.push_back(losses(directory / "run"));
  CHECK(found[0].size() == 4);
  CHECK(found[1] == found[0]);
  CHECK(found[2] == found[0]);
}

TEST_CASE("a run does not resume with other data, and does with the same") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.jsonl", question_rows(40));
  const std::string recipe =
      recipe_with(directory, "data:\n  train: [" + source((directory / "a.jsonl").string()) + "]\n  cache_dir: null\n");
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  write_bytes(directory / "a.jsonl", question_rows(39) + question_rows(1));
  const Outcome changed = run({"lora-train", recipe, "--resume", "training.max_steps=6"});
  CHECK(changed.exit_code == 3);
  CHECK_THAT(changed.err, Contains("a.jsonl: found ") && Contains("expected what the checkpoint was trained on"));
  write_bytes(directory / "a.jsonl", question_rows(40));
  const Outcome same =
      run({"lora-train", recipe, "--resume", "training.max_steps=6", "data.cache_dir=" + (directory / "c").string()});
  CAPTURE(same.err);
  CHECK(same.exit_code == 0);
  CHECK_THAT(same.out, Contains("Resuming after step 4"));
}

TEST_CASE("a run names the columns that it does not read, once a source") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.jsonl",
              question_rows(20) + "{\"question\": \"q\", \"answer\": \"a\", \"topic\": \"t\"}\n");
  write_bytes(directory / "b.csv", "question,answer,id\nq,a,1\n");
  const std::string recipe = recipe_with(directory, "data: {train: [" + source((directory / "a.jsonl").string()) +
                                                        "], validation: [" + source((directory / "b.csv").string()) +
                                                        "], cache_dir: " + (directory / "cache").string() + "}\n");
  for (int round = 0; round < 2; ++round) {  // the second from the cache
    const Outcome outcome = run({"lora-train", recipe, "--dry-run"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    CHECK_THAT(outcome.out,
               Contains("Not read    " + (directory / "a.jsonl").string() + ": 'topic' (in 1 of 21 rows)\n") &&
                   Contains("Not read    " + (directory / "b.csv").string() + ": 'id'\n"));
  }
}

TEST_CASE("a run says what of its rows the chat template has no place for, and refuses answers without any") {
  const TemporaryDirectory directory;
  const std::string path = (directory / "a.jsonl").string(), asked = R"({"role": "user", "content": "q"}, )";
  const auto call = [](const std::string& words) {
    return R"({"role": "assistant", "content": ")" + words + R"(", "tool_calls": [{"function": {"name": "f"}}]})";
  };
  const std::string row = R"({"tools": [{"name": "f"}], "messages": [)" + asked + call("w") +
                          R"(, {"role": "tool", "content": "r"}, {"role": "assistant", "content": "a"}]})";
  const std::string thought =
      R"({"messages": [)" + asked + R"({"role": "assistant", "content": "a", "reasoning_content": "why"}]})";
  std::string rows;
  for (int i = 0; i < 20; ++i) rows += row + "\n" + thought + "\n";
  write_bytes(directory / "a.jsonl", rows);
  const std::string recipe = recipe_with(
      directory, "data: {train: [{path: " + path +
                     ", format: chat}], template: plain, cache_dir: " + (directory / "cache").string() + "}\n");
  const std::string lost = "Lost        " + path +
                           ": the chat template writes nothing of the tools of 20 rows, the tool calls of 20 messages, "
                           "the reasoning of 20 trained answers\n";
  for (int round = 0; round < 2; ++round) {  // the second from the cache
    const Outcome outcome = run({"lora-train", recipe, "--dry-run"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    CHECK_THAT(outcome.out, Contains(lost) && !Contains("No end"));
  }
  const Outcome report = run({"lora-data", "report", recipe, "--html", (directory / "page.html").string()});
  CAPTURE(report.err);
  CHECK_THAT(report.out, Contains(lost));
  write_bytes(directory / "open.jinja", "{% for m in messages %}{{ m.role + ' ' + m.content + ' ' }}{% endfor %}");
  const Outcome open = run({"lora-train", recipe, "--dry-run", "data.template=" + (directory / "open.jinja").string()});
  CAPTURE(open.err);
  CHECK_THAT(open.out, Contains("No end      " + path + ": 20 trained answers have no text that ends the turn"));
  write_bytes(directory / "a.jsonl", rows + R"({"messages": [)" + asked + call("") + "]}\n");
  const Outcome refused = run({"lora-train", recipe, "--dry-run"});
  CHECK(refused.exit_code == 3);
  CHECK_THAT(refused.err,
             Contains("a.jsonl:41: messages[1]: the chat template (plain) writes nothing of this answer") &&
                 Contains("'tool_calls'"));
}

TEST_CASE("bad rows stop a run at their line, or are passed over and shown") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.jsonl", question_rows(20) + "{\"question\": 1}\n");
  const std::string recipe =
      recipe_with(directory, "data: {train: [" + source((directory / "a.jsonl").string()) + "]}\n");
  const Outcome failed = run({"lora-train", recipe});
  CHECK(failed.exit_code == 3);
  CHECK_THAT(failed.err, Contains("a.jsonl:21: no column 'answer'"));
  const Outcome skipped = run({"lora-train", recipe, "data.on_error=skip"});
  CAPTURE(skipped.err);
  CHECK(skipped.exit_code == 0);
  CHECK_THAT(skipped.out,
             Contains("Passed over ") && Contains("a.jsonl:21: no column 'answer'") && Contains("passed over"));
}

TEST_CASE("standard input is refused where it would be read twice") {
  const TemporaryDirectory directory;
  const std::string recipe =
      recipe_with(directory, "data: {train: [" + source("'-'") + "], validation: [" + source("'-'") + "]}\n");
  const Outcome outcome = run({"lora-train", recipe});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Contains("data.validation.0.path: '-' is standard input, which is read only once"));
}

TEST_CASE("a run on cached data tells what cleaning found, and warns, as the first one did") {
  const TemporaryDirectory directory;
  write_bytes(directory / "a.jsonl", question_rows(20) + question_rows(1));
  write_bytes(directory / "v.jsonl", question_rows(2));
  const std::string recipe = recipe_with(
      directory, "data:\n  train: [" + source((directory / "a.jsonl").string()) + "]\n  validation: [" +
                     source((directory / "v.jsonl").string()) + "]\n  cleaning: {exact_duplicates: drop}\n" +
                     "  cache_dir: " + (directory / "cache").string() + "\n");
  std::vector<std::string> lines, warnings;
  for (const std::string said : {"train: kept in ", "train: found in "}) {
    fs::remove_all(directory / "run");
    const Outcome outcome = run({"lora-train", recipe});
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    CHECK_THAT(outcome.out, Contains(said));
    const size_t begin = outcome.out.find("Cleaning    ");
    REQUIRE(begin != std::string::npos);
    lines.push_back(outcome.out.substr(begin, outcome.out.find('\n', begin) - begin));
    const size_t warned = outcome.err.find("of the training data also stand in the validation data (");
    REQUIRE(warned != std::string::npos);
    warnings.push_back(outcome.err.substr(warned, outcome.err.find('\n', warned) - warned));
  }
  CHECK_THAT(lines[0], Contains("1 row dropped (exact_duplicates 1)"));
  CHECK(lines[1] == lines[0]);
  CHECK(warnings[1] == warnings[0]);
}
