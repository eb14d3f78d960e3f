// Section E of the faults: data that cannot be trained on is refused at its row, or read as it was meant.

#include <errno.h>

#include "tests/app/runs.h"
#include "tests/faults/hurt_run.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

const std::string kGoodRow = "{\"prompt\": \"a\", \"completion\": \"b\"}\n";

std::vector<std::string> on_rows(const TemporaryDirectory& directory, const std::string& bytes,
                                 const std::string& format) {
  write_bytes(directory / "rows.jsonl", bytes);
  const std::string source = "[{path: " + (directory / "rows.jsonl").string() + ", format: " + format + "}]";
  return {"lora-train", quickstart_recipe(directory), "data.train=" + source, "data.validation=[]",
          "training.max_length=64"};
}

void refused_rows(const std::string& bytes, const std::vector<std::string>& parts,
                  const std::string& format = "completion") {
  const TemporaryDirectory directory;
  check_refused(on_rows(directory, bytes, format), 3, parts);
  CHECK_FALSE(fs::exists(directory / "run"));
}

// What a dry run shows of the rows.
std::string shown_rows(const std::string& bytes, const std::vector<std::string>& more = {}) {
  const TemporaryDirectory directory;
  std::vector<std::string> arguments = on_rows(directory, bytes, "completion");
  arguments.push_back("--dry-run");
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Outcome outcome = run(arguments);
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 0);
  return outcome.out;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("E: empty") { refused_rows("", {"rows.jsonl: holds no rows"}); }

TEST_CASE("E: BOM and CRLF") {
  const std::string out = shown_rows("\xEF\xBB\xBF{\"prompt\": \"a\", \"completion\": \"b\"}\r\n");
  CHECK(count_of(out, "\uFEFF") == 0);
  CHECK(count_of(out, "\u240D") == 0);  // how a carriage return would show
}

TEST_CASE("E: invalid UTF-8") {
  refused_rows(kGoodRow + "{\"prompt\": \"\xFF\", \"completion\": \"b\"}\n", {"rows.jsonl:2:13", "ill-formed UTF-8"});
}

TEST_CASE("E: half a surrogate") {
  refused_rows(kGoodRow + "{\"prompt\": \"\\ud83d\", \"completion\": \"b\"}\n", {"rows.jsonl:2:19", "surrogate"});
}

TEST_CASE("E: unterminated last") {
  CHECK_THAT(shown_rows(kGoodRow + "{\"prompt\": \"c\", \"completion\": \"d\"}"), Contains("d"));
}

TEST_CASE("E: 1 GiB line", "[.long]") {
  const TemporaryDirectory directory;
  const std::vector<std::string> arguments = on_rows(directory, kGoodRow + "{\"prompt\": \"", "completion");
  {
    std::ofstream out(directory / "rows.jsonl", std::ios::binary | std::ios::app);
    const std::string piece(size_t{1} << 20, 'a');
    for (int i = 0; i < 1024; ++i) out << piece;
    out << "\", \"completion\": \"b\"}\n";
  }
  check_refused(arguments, 3, {"rows.jsonl:2: a line of more than 16 MiB"});
}

TEST_CASE("E: nesting 100,000") {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  refused_rows(kGoodRow + "{\"prompt\": " + deep + ", \"completion\": \"b\"}\n",
               {"rows.jsonl:2", "nested deeper than 1000"});
}

TEST_CASE("E: missing field") {
  refused_rows(kGoodRow + "{\"prompt\": \"a\"}\n",
               {"rows.jsonl:2: no column 'completion'", "found: 'prompt'", "`fields`"});
}

TEST_CASE("E: duplicate keys") {
  refused_rows(kGoodRow + "{\"prompt\": \"a\", \"prompt\": \"c\", \"completion\": \"b\"}\n",
               {"rows.jsonl:2: key 'prompt' is there twice"});
}

TEST_CASE("E: all masked") {
  std::string prompt;
  for (int i = 0; i < 200; ++i) prompt += "a b c ";
  refused_rows("{\"prompt\": \"" + prompt + "\", \"completion\": \"b\"}\n",
               {"no token is left to train on", "raise training.max_length"});
  refused_rows("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n",
               {"no token is left to train on", "have no answer"}, "chat");
}

TEST_CASE("E: overlong") {
  std::string answer;
  for (int i = 0; i < 500; ++i) answer += "word ";
  const std::string rows = kGoodRow + "{\"prompt\": \"a\", \"completion\": \"" + answer + "\"}\n";
  CHECK_THAT(shown_rows(rows), Contains("1 cut at max_length"));
  CHECK_THAT(shown_rows(rows, {"data.overlong=drop"}), Contains("1 dropped: longer than max_length"));
}

TEST_CASE("E: special-token text literal") {
  // The quickstart's EOS is </s>; spelled in a row it is text, and the one at the end is the tokenizer's.
  const std::string out = shown_rows("{\"prompt\": \"a </s> b\", \"completion\": \"c\"}\n");
  CHECK(count_of(out, "</s>") >= 2);
}

TEST_CASE("E: a row of many keys, a file of many columns") {
  std::string row = "{\"prompt\": \"a\", \"completion\": \"b\"";
  for (int i = 0; i < 300'000; ++i) row += ", \"k" + std::to_string(i) + "\": 1";  // hours if quadratic
  CHECK_THAT(shown_rows(row + "}\n"), Contains("b"));
}

TEST_CASE("E: a conversation whose answers would take too long to find is refused by name") {
  std::string row = "{\"messages\": [";
  for (int i = 0; i < 2'000; ++i) {
    row += std::string(i > 0 ? ", " : "") + "{\"role\": \"user\", \"content\": \"a\"}, " +
           "{\"role\": \"assistant\", \"content\": \"b\"}";
  }
  refused_rows(row + "]}\n", {"rows.jsonl:1", "2000 answers in 4000 messages", "{% generation %}", "last_turn"},
               "chat");
}

TEST_CASE("E: changed before resume") {
  const TemporaryDirectory directory;
  const std::string rows = counting_rows(20);
  std::vector<std::string> arguments = on_rows(directory, rows, "completion");
  arguments.insert(arguments.end(), {"training.max_steps=2", "training.checkpoint_every=1", "training.eval_every=0"});
  REQUIRE(run(arguments).exit_code == 0);
  std::string changed = rows;
  changed[changed.find("after 7")] = 'A';
  write_bytes(directory / "rows.jsonl", changed);
  const std::string metrics_before = read_bytes(directory / "run/metrics.jsonl");
  arguments.insert(arguments.end(), {"--resume", "training.max_steps=4"});
  check_refused(arguments, 3, {"rows.jsonl: found", "SHA-256", "expected what the checkpoint was trained on"});
  CHECK(read_bytes(directory / "run/metrics.jsonl") == metrics_before);
  write_bytes(directory / "rows.jsonl", rows);
  CHECK(run(arguments).exit_code == 0);
}

TEST_CASE("E: EIO mid-read") {
  const TemporaryDirectory directory;
  std::vector<std::string> arguments = on_rows(directory, counting_rows(40'000), "completion");  // several reads
  arguments.erase(arguments.begin());
  LoadedProgram program("lora-train");
  const std::string counted = "LORA_FAULT_DIRECTORY=" + directory.path().string();
  const fs::path trace = directory.path().string() + ".trace";
  // With a cache the file is read twice, and where only the first time fails, the cache is not used.
  arguments.insert(arguments.end(), {"training.max_steps=1", "training.eval_every=0", "data.cache_dir=null"});
  REQUIRE(program.run({counted, "LORA_FAULT_TRACE=" + trace.string()}, arguments).exit_code == 0);
  fs::remove_all(directory / "run");
  std::vector<std::string> reads;
  std::ifstream lines(trace);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.starts_with("read ") && line.ends_with("/rows.jsonl")) reads.push_back(std::to_string(number));
  }
  fs::remove(trace);
  REQUIRE(reads.size() > 2);
  const Outcome outcome = program.run(
      {counted, "LORA_FAULT=fail:" + std::to_string(EIO), "LORA_FAULT_CALL=" + reads[reads.size() / 2]}, arguments);
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 3);
  CHECK_THAT(outcome.err, Contains("rows.jsonl") && Contains("Input/output error"));
  CHECK_FALSE(fs::exists(directory / "run"));
}

TEST_CASE("E: one BOS") {
  // The quickstart's tokenizer writes one; a row that spells it out, where spelled tokens are tokens, has no second.
  const std::string rows = kGoodRow + "{\"prompt\": \"<s>c\", \"completion\": \"d\"}\n";
  const std::string out = shown_rows(rows, {"data.allow_special_tokens=true", "training.packing=false"});
  CHECK(count_of(out.substr(out.find("First rows")), "<s>") == 2);
}

TEST_CASE("E: packing equals unpacked") {
  std::vector<double> losses;
  for (const char* packing : {"training.packing=false", "training.packing=true"}) {
    const TemporaryDirectory directory;
    std::vector<std::string> arguments = on_rows(directory, counting_rows(30), "completion");
    arguments.insert(arguments.end(), {packing, "training.batch_size=30", "training.max_steps=1", "adapter.dropout=0",
                                       "training.eval_every=0", "data.cleaning.contamination=off"});
    const Outcome outcome = run(arguments);
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    losses.push_back(metrics(directory / "run").at(0).at("loss").get<double>());
  }
  CHECK(losses[0] == Approx(losses[1]).epsilon(1e-6));
}
