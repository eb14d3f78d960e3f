#include <functional>
#include <string>

#include "lora/checkpoints/metrics_file.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/error_message.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_directory.h"

namespace lora {
namespace {

using namespace test;

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("metrics rows are readable at once and added to what is there", "[checkpoints]") {
  const TemporaryDirectory run;
  const auto path = run / "metrics.jsonl";
  {
    MetricsFile metrics(path);
    metrics.append(R"({"step":1})");
    CHECK(read_bytes(path) == "{\"step\":1}\n");
  }
  MetricsFile metrics(path);
  metrics.append(R"({"step":2})");
  metrics.sync();
  CHECK(read_bytes(path) == "{\"step\":1}\n{\"step\":2}\n");
}

TEST_CASE("a metrics row that a full disk cuts short is taken back", "[checkpoints]") {
  const TemporaryDirectory run;
  MetricsFile metrics(run / "metrics.jsonl");
  metrics.append(R"({"step":1})");
  {
    const FileSizeLimit limit(16);
    CHECK_THAT(error_message<StorageError>([&] { metrics.append(R"({"step":2})"); }),
               Contains("metrics.jsonl: cannot write"));
  }
  CHECK(read_bytes(run / "metrics.jsonl") == "{\"step\":1}\n");
  metrics.append(R"({"step":2})");
  CHECK(read_bytes(run / "metrics.jsonl") == "{\"step\":1}\n{\"step\":2}\n");
}

TEST_CASE("rows after a step are dropped, rows of the step are kept", "[checkpoints]") {
  const TemporaryDirectory run;
  const auto path = run / "metrics.jsonl";
  const std::string kept = "{\"step\":1,\"loss\":2.5}\n{\"step\":2,\"loss\":2}\n{\"step\":2,\"eval_loss\":2.1}\n";
  write_bytes(path, kept + "{\"step\":3,\"loss\":1.5}\n{\"step\":4,\"loss\":1}\n");
  const DroppedRows dropped = drop_rows_after(path, 2);
  CHECK(dropped.after_step == 2);
  CHECK(dropped.unreadable == 0);
  CHECK(read_bytes(path) == kept);
  CHECK(std::distance(std::filesystem::directory_iterator(run.path()), {}) == 1);
}

TEST_CASE("of the checkpoint's step the row of answers is dropped, which the end of the run writes again",
          "[checkpoints]") {
  const TemporaryDirectory run;
  const auto path = run / "metrics.jsonl";
  const std::string kept = "{\"step\":0,\"exact_match\":0}\n{\"step\":1,\"loss\":2}\n{\"step\":1,\"eval_loss\":2}\n";
  write_bytes(path, kept + "{\"step\":1,\"eval_loss\":2,\"exact_match\":1}\n");
  CHECK(drop_rows_after(path, 1).after_step == 1);
  CHECK(read_bytes(path) == kept);
}

TEST_CASE("a torn last line is dropped, and one that lacks only its end is completed", "[checkpoints]") {
  const TemporaryDirectory run;
  const auto path = run / "metrics.jsonl";
  for (const std::string torn : {"{\"step\":2,\"lo", "{", "null", "{\"step\":\"2\"}", "\xff\xff", "7"}) {
    write_bytes(path, "{\"step\":1}\n" + torn);
    CHECK(drop_rows_after(path, 5).unreadable == 1);
    CHECK(read_bytes(path) == "{\"step\":1}\n");
  }
  write_bytes(path, "{\"step\":1}\n{\"step\":2}");
  CHECK(drop_rows_after(path, 5).unreadable == 0);
  CHECK(read_bytes(path) == "{\"step\":1}\n{\"step\":2}\n");
}

TEST_CASE("dropping rows where there is no file or none to drop changes nothing", "[checkpoints]") {
  const TemporaryDirectory run;
  drop_rows_after(run / "metrics.jsonl", 5);
  CHECK(std::filesystem::is_empty(run.path()));
  write_bytes(run / "metrics.jsonl", "{\"step\":1}\n");
  const auto before = std::filesystem::last_write_time(run / "metrics.jsonl");
  drop_rows_after(run / "metrics.jsonl", 5);
  CHECK(std::filesystem::last_write_time(run / "metrics.jsonl") == before);
}

TEST_CASE("a metrics file that cannot be opened is a storage error that names it", "[checkpoints]") {
  const TemporaryDirectory run;
  std::filesystem::create_directory(run / "metrics.jsonl");
  CHECK_THAT(error_message<StorageError>([&] { MetricsFile metrics(run / "metrics.jsonl"); }),
             Contains("metrics.jsonl: cannot open"));
  CHECK_THAT(error_message<StorageError>([&] { drop_rows_after(run / "metrics.jsonl", 1); }),
             Contains("metrics.jsonl: is a pipe, a device or a directory"));
}

}  // namespace lora
