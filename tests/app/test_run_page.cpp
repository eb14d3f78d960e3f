// report.html of runs, and what else tells of a run while it goes on and at its end.

#include <csignal>
#include <thread>

#include "lora/report/run_record.h"
#include "tests/app/runs.h"
#include "tests/markup.h"

using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

TEST_CASE("a run writes a page of itself, which several runs are laid side by side from") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(
      directory, "evaluation: {exact_match: 4, show: 1, max_new_tokens: 4}\nlogging: [tensorboard]\n");
  const Outcome outcome = run({"lora-train", recipe, "export=[peft]"});
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("Try it: " + program("lora-generate").string() + " " + (directory / "run").string() +
                                   " --prompt $'"));

  const std::string page = read_bytes(directory / "run/report.html");
  CHECK(well_formed(page));
  for (const char* part : {"done, step 6 of 6", "Loss", "Learning rate", "model.layers.*.self_attn.q_proj",
                           "train.jsonl", "expected", "before training", "after training", "training.learning_rate"}) {
    CHECK_THAT(page, Contains(part));
  }
  const lora::ReportedRun read = lora::read_reported_run(directory / "run");
  CHECK(read.record.samples.size() == 4);
  CHECK(read.record.total_steps == 6);
  CHECK(read.curves.last_step() == 6);
  CHECK(read.curves.find("eval_loss"));

  // A resumed run begins with the rows and the first answers of its earlier part.
  const auto events = std::distance(fs::directory_iterator(directory / "run/tensorboard"), {});
  CHECK(events == 1);
  REQUIRE(run({"lora-train", recipe, "export=[peft]", "--resume", "training.max_steps=8"}).exit_code == 0);
  const lora::ReportedRun resumed = lora::read_reported_run(directory / "run");
  CHECK(resumed.record.samples.front().before == read.record.samples.front().before);
  CHECK_THAT(read_bytes(directory / "run/report.html"), Contains("done, step 8 of 8"));
  CHECK(std::distance(fs::directory_iterator(directory / "run/tensorboard"), {}) == 2);

  REQUIRE(run({"lora-train", recipe, "output_dir=" + (directory / "other").string(), "training.learning_rate=2e-3",
               "evaluation.exact_match=0"})
              .exit_code == 0);
  const Outcome both = run({"lora-inspect", (directory / "run").string(), (directory / "other").string(), "--html",
                            (directory / "both.html").string()});
  CAPTURE(both.err);
  REQUIRE(both.exit_code == 0);
  const std::string together = read_bytes(directory / "both.html");
  CHECK(well_formed(together));
  CHECK_THAT(together, Contains("2 runs") && Contains("<code>training.<wbr/>learning_<wbr/>rate</code>") &&
                           Contains("<td>0.002</td>") && !Contains("batch_<wbr/>size</code>"));
  // Text is aligned to the left, numbers to the right.
  CHECK_THAT(together, Contains("<th class=\"text\">state</th>") && Contains("<th>steps</th>") &&
                           Contains("<td class=\"text\">completion</td>"));
  // Without a name the page is runs.html, here; a run in the name's place is a run.
  const fs::path here = fs::current_path();
  fs::current_path(directory.path());
  for (const std::vector<std::string>& order : {std::vector<std::string>{"lora-inspect", "run", "other", "--html"},
                                                {"lora-inspect", "--html", "run", "other"}}) {
    fs::remove("runs.html");
    const Outcome unnamed = run(order);
    CAPTURE(unnamed.err);
    CHECK(unnamed.exit_code == 0);
    CHECK_THAT(unnamed.out, Contains("wrote runs.html: 2 runs"));
    CHECK_THAT(read_bytes("runs.html"), Contains("2 runs") && Contains("<td>0.002</td>"));
  }
  fs::current_path(here);
  const Outcome compared = run({"lora-inspect", (directory / "run").string(), (directory / "other").string()});
  CAPTURE(compared.out, compared.err);
  CHECK(compared.exit_code == 0);
  CHECK_THAT(compared.out, Contains("lowest validation loss") &&
                               Contains("* the best of its column\n\nWhat their recipes differ in\n") &&
                               Contains("training.learning_rate") && !Contains("batch_size"));
  // Of a directory, the runs in it.
  CHECK_THAT(run({"lora-inspect", directory.path().string()}).out, Contains("lowest validation loss"));
  check_refused({"lora-inspect", "--all", (directory / "run").string(), (directory / "other").string()}, 2,
                {"--all: found runs to lay side by side, expected one path"});
  check_refused({"lora-inspect", directory.path().string() + "/none", "--html", (directory / "n.html").string()}, 5,
                {"expected the directory of a run"});
}

TEST_CASE("a run that is stopped says so on its page, and that of a classifier shows what it confuses") {
  const TemporaryDirectory directory;
  Command stopped({"lora-train", quickstart_recipe(directory), "training.max_steps=100000"});
  for (int tries = 0;
       tries < 600 && (!fs::exists(directory / "run/metrics.jsonl") || metrics(directory / "run").empty()); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  stopped.send(SIGTERM);
  CHECK(stopped.wait().exit_code == 143);
  CHECK_THAT(read_bytes(directory / "run/report.html"), Contains("stopped, step "));

  const Outcome classifier = run({"lora-train", (source_dir() / "recipes/classification.yaml").string(),
                                  "training={max_steps: 3, batch_size: 4, max_length: 64, packing: false}",
                                  "output_dir=" + (directory / "classifier").string(), "export=[peft]"});
  CAPTURE(classifier.err);
  REQUIRE(classifier.exit_code == 0);
  CHECK_THAT(classifier.out, Contains("Try it: ") && Contains("lora-classify"));
  const lora::ReportedRun read = lora::read_reported_run(directory / "classifier");
  CHECK(read.record.labels.size() > 2);
  int64_t samples = 0;
  for (const auto& [label, predicted, count] : read.record.confusion) samples += count;
  CHECK(samples > 50);
  const std::string page = read_bytes(directory / "classifier/report.html");
  CHECK(well_formed(page));
  CHECK_THAT(page, Contains("Labels and what is predicted") && Contains("class=\"confusion\""));
}
