// Several adapters trained in one run, from outside: the same bits as alone, stops and resumes, and refusals.

#include "models/io/safetensors.h"
#include "tests/app/runs.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// Two adapters with different data, ranks, rates and lengths over the quickstart's model.
std::string write_two(const TemporaryDirectory& directory, const std::string& changes = "") {
  const std::string data = (quickstart() / "data").string();
  write_bytes(directory / "two.yaml", "model: {path: " + (quickstart() / "model").string() + R"(, dtype: float32}
adapter: {method: lora, rank: 4, alpha: 8, dropout: 0.1, target_modules: [q_proj, v_proj]}
training: {max_steps: 6, batch_size: 2, max_length: 256, learning_rate: 1.0e-3, eval_every: 3, checkpoint_every: 2}
adapters:
  - name: long
    data:
      train: [{path: )" + data + R"(/train.jsonl, format: completion}]
      validation: [{path: )" + data + R"(/validation.jsonl, format: completion}]
    training: {checkpoint_every: 3}
  - name: short
    adapter: {rank: 2, target_modules: all-linear, modules_to_save: [norm]}
    data: {train: [{path: )" + data + R"(/validation.jsonl, format: completion}]}
    training: {learning_rate: 5.0e-3, seed: 9, max_steps: 4}
    export: [peft]
output_dir: )" + (directory / "two").string() +
                                          "\n" + changes);
  return (directory / "two.yaml").string();
}

}  // namespace

TEST_CASE("adapters trained in one run are bit for bit those trained alone") {
  const TemporaryDirectory directory;
  const Outcome outcome = run({"lora-train", write_two(directory)});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK(fs::exists(directory / "two/short/adapter/adapter_model.safetensors"));
  for (const auto& [name, steps] : {std::pair("long", 6), std::pair("short", 4)}) {
    // The recipe that stands in the adapter's folder trains it alone.
    const fs::path together = directory / "two" / name, alone = directory / "alone" / name;
    const Outcome single = run({"lora-train", (together / "recipe.yaml").string(), "output_dir=" + alone.string()});
    CAPTURE(single.err);
    REQUIRE(single.exit_code == 0);
    CHECK(comparable(together) == comparable(alone));
    CHECK(weights(together, steps) == weights(alone, steps));
  }
}

TEST_CASE("a run of several adapters resumes bit for bit, also where it died between two checkpoints") {
  const TemporaryDirectory whole, parts;
  REQUIRE(run({"lora-train", write_two(whole)}).exit_code == 0);
  const std::string recipe = write_two(parts);
  Command first({"lora-train", recipe});
  for (int tries = 0; tries < 6000 && first.out_so_far().find("step 1/10") == std::string::npos; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  first.send(SIGTERM);
  const Outcome stopped = first.wait();
  CAPTURE(stopped.out, stopped.err);
  CHECK((stopped.exit_code == 143 || stopped.exit_code == 0));
  REQUIRE(run({"lora-train", recipe, "--resume"}).exit_code == 0);
  const auto check_same = [&] {
    CHECK(comparable(parts / "two/long") == comparable(whole / "two/long"));
    CHECK(comparable(parts / "two/short") == comparable(whole / "two/short"));
    CHECK(weights(parts / "two/long", 6) == weights(whole / "two/long", 6));
    CHECK(weights(parts / "two/short", 4) == weights(whole / "two/short", 4));
  };
  check_same();
  // As if the process had been killed after the last checkpoint of one and before that of the other.
  fs::remove_all(CheckpointStore(parts / "two/long").directory(6));
  const Outcome resumed = run({"lora-train", recipe, "--resume"});
  CAPTURE(resumed.out, resumed.err);
  CHECK(resumed.exit_code == 0);
  CHECK_THAT(resumed.out, Contains("Resuming after step 3") && Contains("Resuming after step 4"));
  check_same();
}

TEST_CASE("a run of several adapters is refused where any of them has one, and names the adapter that fails") {
  const TemporaryDirectory directory;
  const std::string recipe = write_two(directory);
  const Outcome shown = run({"lora-train", recipe, "--dry-run"});
  CHECK(shown.exit_code == 0);
  CHECK_FALSE(fs::exists(directory / "two"));
  const Outcome failed = run({"lora-train", recipe, "adapters.1.training.learning_rate=1e38",
                              "adapters.1.training.max_grad_norm=0", "adapters.1.training.lr_schedule=constant"});
  CAPTURE(failed.err);
  CHECK(failed.exit_code == 6);
  CHECK_THAT(failed.err, Contains("adapter 'short': step"));
  CHECK(CheckpointStore(directory / "two/long").steps().size() >= 1);
  check_refused({"lora-train", recipe}, 5, {"two/long", "already holds a run"});
  check_refused({"lora-train", recipe, "--resume", "adapters.0.adapter.rank=8"}, 2, {"adapter.rank"});
  check_refused({"lora-export", (directory / "two").string(), "--format", "peft", "--output", "x"}, 5,
                {"several adapters", "two/long"});
}
