// The page of runs: its curves, its texts, and what it keeps for another page.

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "lora/report/event_file.h"
#include "lora/report/live_page.h"
#include "lora/report/page.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/markup.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;
using nlohmann::ordered_json;

// Every text of a run that may come from a stranger, as one that would break a page.
const std::string kHostile = "</script><script>alert('x')</script>&\"\xff\x01";

RunRecord hostile_record() {
  RunRecord record;
  record.name = record.state = kHostile;
  record.facts = {{kHostile, kHostile}};
  record.recipe = {{kHostile, kHostile}};
  record.tables = {{kHostile, {{kHostile, kHostile}, {kHostile, kHostile}}, {false, true}}};
  record.findings = {kHostile};
  record.samples = {{kHostile, kHostile, kHostile, kHostile}};
  record.labels = {kHostile, "b"};
  record.confusion = {{0, 0, 3}, {0, 1, 2}, {1, 1, 5}};
  return record;
}

ordered_json step_row(int step, double loss) {
  return {{"step", step},
          {"epoch", 0.5},
          {"loss", loss},
          {"grad_norm", 1.0},
          {"lr", 1e-3},
          {"tokens_per_second", 900.0},
          {"peak_memory_bytes", 150'000'000},
          {"budget", 7}};
}

}  // namespace

TEST_CASE("A curve keeps few points, whose means and bounds are those of all values") {
  Curve curve;
  double sum = 0;
  for (int i = 1; i <= 100'000; ++i) {
    const double value = i % 7 == 3 ? -i : i;
    curve.add(i, value);
    sum += value;
  }
  CHECK(curve.points().size() <= 800);
  CHECK(curve.points().size() >= 400);
  double kept = 0, low = 1e9, high = -1e9;
  int64_t count = 0;
  for (const Curve::Point& point : curve.points()) {
    CHECK((point.low <= point.mean() && point.mean() <= point.high));
    kept += point.sum, count += point.count;
    low = std::min(low, point.low), high = std::max(high, point.high);
  }
  CHECK(count == 100'000);
  CHECK(kept == Approx(sum));
  CHECK(low == curve.low());
  CHECK(high == curve.high());
  CHECK(curve.low() == -99998);  // 99,998 is 3 more than a multiple of 7
  CHECK(curve.low_step() == 99998);
  CHECK(curve.points().back().step == 100'000);
  CHECK(curve.smoothed().size() == curve.points().size());
}

TEST_CASE("A curve counts what is not finite, and has no point of it") {
  Curves curves;
  curves.add({{"step", 1}, {"loss", nullptr}});
  curves.add({{"step", 2}, {"loss", 2.5}, {"note", "text"}});
  curves.add({{"step", 3}, {"loss", std::numeric_limits<double>::infinity()}});
  curves.add({{"loss", 9.0}});
  REQUIRE(curves.find("loss"));
  CHECK(curves.find("loss")->points().size() == 1);
  CHECK(curves.find("loss")->not_finite() == 2);
  CHECK(curves.find("loss")->last() == 2.5);
  CHECK_FALSE(curves.find("note"));
  CHECK(curves.last_step() == 3);
}

TEST_CASE("A page is well formed whatever the texts are, and no text becomes markup") {
  ReportedRun run{hostile_record(), {}};
  for (int i = 1; i <= 200; ++i) run.curves.add(step_row(i, 2.0 / i));
  run.curves.add({{"step", 200}, {"eval_loss", 0.5}, {"exact_match", 3}, {"exact_match_rows", 4}});
  ReportedRun other{hostile_record(), {}};
  other.curves.add(step_row(1, std::nan("")));
  for (const std::string& page : {report_page({&run}), report_page({&run, &other}), report_page({&other})}) {
    CHECK(well_formed(page));
    CHECK_THAT(page, !Contains("<script>") && Contains("&lt;/script&gt;") && !Contains("http://") && !Contains("nan"));
    // What a reader needs to draw it is in it.
    CHECK_THAT(page, Contains("prefers-color-scheme: dark") && Contains("@media print") && Contains("<svg"));
  }
  const std::string page = report_page({&run});
  for (const char* title :
       {"Loss", "Learning rate", "Gradient norm", "Tokens a second", "Memory", "budget", "75.0 %"}) {
    CHECK_THAT(page, Contains(title));
  }
}

TEST_CASE("Runs side by side have what some of them has, and the best marked where they are measured alike") {
  const auto run_with = [](const std::string& rate, double loss, double low) {
    ReportedRun run;
    run.record.name = "runs/" + rate;
    run.record.recipe = {{"training.objective", "causal_lm"}, {"training.learning_rate", rate}, {"output_dir", rate}};
    run.curves.add(step_row(10, loss));
    run.curves.add({{"step", 10}, {"eval_loss", low}});
    run.curves.add({{"step", 20}, {"eval_loss", low + 1}});
    return run;
  };
  const ReportedRun one = run_with("1e-3", 0.5, 0.75), other = run_with("2e-3", 0.25, 0.5);
  const TextTable table = compared_runs({&one, &other});
  CHECK(table.rows == std::vector<std::vector<std::string>>{
                          {"run", "state", "steps", "loss", "lowest validation loss", "tokens/s", "memory"},
                          {"runs/1e-3", "training", "20", "0.5000", "0.7500", "900", "150 MB"},
                          {"runs/2e-3", "training", "20", "0.2500", "0.5000", "900", "150 MB"}});
  CHECK(table.best == std::vector<std::pair<size_t, size_t>>{{2, 4}});
  CHECK(differing_keys({&one, &other}).rows ==
        std::vector<std::vector<std::string>>{{"key", "runs/1e-3", "runs/2e-3"},
                                              {"training.learning_rate", "1e-3", "2e-3"}});
  CHECK_THAT(report_page({&one, &other}),
             Contains("<td><span class=\"tag good\">best</span> <b class=\"good\">0.5000</b></td>"));

  // All the same, of one run alone, or of different measures: there is no best.
  CHECK(compared_runs({&one, &one}).best.empty());
  CHECK(differing_keys({&one, &one}).rows.empty());
  ReportedRun bare;
  bare.curves.add(step_row(1, 0.1));
  CHECK(compared_runs({&one, &bare}).best.empty());
  CHECK(compared_runs({&one, &bare}).rows[2][4] == "–");
  ReportedRun preferences = other;
  preferences.record.recipe[0].second = "dpo";
  CHECK(compared_runs({&one, &preferences}).best.empty());

  ReportedRun exact = one, better = one;
  for (const auto& [run, right] : {std::pair(&exact, 3), std::pair(&better, 4)}) {
    run->curves.add({{"step", 0}, {"exact_match", 1}, {"exact_match_rows", 8}});
    run->curves.add({{"step", 20}, {"exact_match", right}, {"exact_match_rows", 8}, {"eval_accuracy", 0.5}});
  }
  const TextTable answered = compared_runs({&better, &exact, &better});
  CHECK(answered.rows[0][5] == "highest accuracy");
  CHECK(answered.rows[1][6] == "12.5 % before, 50.0 % after training");
  CHECK(answered.best == std::vector<std::pair<size_t, size_t>>{{1, 6}, {3, 6}});
}

TEST_CASE("A page gives back the record that it was made of") {
  ReportedRun run{hostile_record(), {}};
  run.record.total_steps = 12;
  const auto read = read_record(record_in(report_page({&run})));
  REQUIRE(read);
  CHECK(record_text(*read) == record_text(run.record));
  CHECK(read->samples.front().prompt.starts_with("</script><script>alert('x')</script>&\""));
  CHECK_FALSE(read_record(""));
  CHECK_FALSE(read_record(R"({"tables": [{"title": "t", "rows": [["a", "b"]], "right": [true]}]})"));
  CHECK_FALSE(read_record(R"({"labels": ["a"], "confusion": [[0, 1, 2]]})"));
  CHECK_FALSE(read_record(R"({"samples": 3})"));
}

TEST_CASE("A live page follows the metrics, and goes on from those of a run that was stopped") {
  const TemporaryDirectory directory;
  CHECK_THROWS_AS(read_reported_run(directory.path()), StorageError);
  std::string rows;
  for (int i = 1; i <= 3; ++i) rows += step_row(i, 3.0 - i).dump() + "\n";
  write_bytes(directory / "metrics.jsonl", rows + "half a li");
  LivePage page(directory.path());
  page.record().samples = {{"p", "e", "b", ""}};
  page.add(step_row(4, 0.25));
  page.write();
  const std::string written = read_bytes(directory / "report.html");
  CHECK_THAT(written, Contains("step 4") && Contains("0.25"));
  const ReportedRun read = read_reported_run(directory.path());
  CHECK(read.curves.last_step() == 3);  // the rows are metrics.jsonl's
  CHECK(read.record.samples.size() == 1);
  CHECK(LivePage(directory.path()).earlier_samples().front().before == "b");
}

TEST_CASE("An event file has TensorBoard's records") {
  CHECK(crc32c("123456789") == 0xe3069283);  // RFC 3720, B.4 tells the polynomial; the check value is Koopman's
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);
  const TemporaryDirectory directory;
  EventFile events(directory / "tensorboard", 0);
  events.add({{"step", 300}, {"loss", 0.5}, {"eval_loss", nullptr}, {"word", "text"}});
  std::string bytes;
  for (const auto& file : std::filesystem::directory_iterator(directory / "tensorboard"))
    bytes = read_bytes(file.path());
  CHECK(bytes.find("brain.Event:2") != std::string::npos);
  // Field 5 of the event: a summary with "train/loss", the float 0.5, and "validation/loss".
  const std::string loss("\x0a\x11\x0a\x0atrain/loss\x15\x00\x00\x00\x3f", 19);
  CHECK(bytes.find(loss) != std::string::npos);
  CHECK(bytes.find("validation/loss\x15") != std::string::npos);
  CHECK(bytes.find("word") == std::string::npos);
  size_t records = 0;
  for (size_t at = 0; at < bytes.size(); ++records) {
    uint64_t length = 0;
    std::memcpy(&length, &bytes[at], 8);
    REQUIRE(at + 16 + length <= bytes.size());
    uint32_t mask = 0;
    std::memcpy(&mask, &bytes[at + 8], 4);
    const uint32_t crc = mask - 0xa282ead8u;
    CHECK((crc << 15 | crc >> 17) == crc32c(bytes.substr(at, 8)));
    at += 16 + length;
  }
  CHECK(records == 3);
}

}  // namespace lora::test
