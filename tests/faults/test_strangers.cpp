// Files and places that a person or a stranger has changed in ways that no program of this project writes.

#include <signal.h>
#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "lora/checkpoints/manifest.h"
#include "lora/checkpoints/store.h"
#include "tests/app/runs.h"
#include "tests/faults/fixtures.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;
using nlohmann::json;

TEST_CASE("A: an export takes the place of an earlier export alone, never of a run, data, a base or other files") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory, "export: [peft]\n");
  const std::string out = (directory / "run").string();
  fs::create_directories(directory / "run/adapter");
  write_bytes(directory / "run/adapter/notes.txt", "mine");
  const Outcome refused = run({"lora-train", recipe});
  CHECK(refused.exit_code == 5);
  CHECK_THAT(refused.err, Contains("run/adapter: holds 'notes.txt', which no export writes"));
  CHECK_FALSE(fs::exists(directory / "run/checkpoints"));  // before it trained
  CHECK(read_bytes(directory / "run/adapter/notes.txt") == "mine");
  fs::remove(directory / "run/adapter/notes.txt");
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);

  // A model of its own, beside things of its owner.
  const fs::path owner = directory / "owner";
  fs::create_directories(owner);
  fs::copy(quickstart() / "model", owner / "model");
  write_bytes(owner / "train.jsonl", "{}\n");
  const std::string model = (owner / "model").string();
  const auto before = files_in(directory.path());
  const auto exported = [&](const std::string& format, const fs::path& output) {
    return run({"lora-export", out, "--model", model, "--format", format, "--output", output.string(), "--overwrite"});
  };
  for (const char* format : {"peft", "huggingface"}) {
    for (const fs::path& place : {directory / "run", directory / "run/checkpoints", directory.path(), owner,
                                  owner / "model", CheckpointStore(directory / "run").directory(6)}) {
      const Outcome outcome = exported(format, place);
      CAPTURE(format, place, outcome.err);
      CHECK(outcome.exit_code == 5);
      CHECK_THAT(outcome.err, Contains(place.string() + ": holds "));
    }
  }
  CHECK(files_in(directory.path()) == before);
  for (const char* format : {"peft", "huggingface", "peft"}) {  // an earlier one of another format too
    const Outcome outcome = exported(format, directory / "export");
    CAPTURE(format, outcome.err);
    CHECK(outcome.exit_code == 0);
  }
}

TEST_CASE("A: numbers of a checkpoint's state that no run has are refused by the file's name") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const fs::path checkpoint = CheckpointStore(directory / "run").directory(6);
  const std::string kept = read_bytes(checkpoint / "state.json");
  for (const auto& [key, number] : std::vector<std::pair<const char*, json>>{{"row", -3},
                                                                             {"row", -1'000'000'000},
                                                                             {"row", 999'999'999'999},
                                                                             {"epoch", -1},
                                                                             {"epoch", 7},
                                                                             {"step", -1},
                                                                             {"step", 3},
                                                                             {"step", INT64_MAX},
                                                                             {"skipped_steps", -1}}) {
    json state = json::parse(kept);
    state[key] = number;
    write_bytes(checkpoint / "state.json", state.dump());
    fs::remove(checkpoint / "manifest.json");
    write_manifest(checkpoint, 6);
    const Outcome outcome = run({"lora-train", recipe, "training.max_steps=8", "--resume"});
    CAPTURE(key, number.dump(), outcome.err);
    CHECK((outcome.exit_code == 5 || outcome.exit_code == 3));
    CHECK_THAT(outcome.err, Contains(outcome.exit_code == 5 ? "state.json: " : "the checkpoint's place after step 6"));
  }
}

TEST_CASE("A: moments of a checkpoint that are not finite are refused by the tensor's name") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const fs::path checkpoint = CheckpointStore(directory / "run").directory(6),
                 file = checkpoint / "optimizer.safetensors";
  std::string bytes = read_bytes(file);
  const float none = NAN;
  std::memcpy(bytes.data() + bytes.size() - sizeof none, &none, sizeof none);  // the last number of the last tensor
  write_bytes(file, bytes);
  fs::remove(checkpoint / "manifest.json");
  write_manifest(checkpoint, 6);
  const Outcome outcome = run({"lora-train", recipe, "training.max_steps=8", "--resume"});
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 5);
  CHECK_THAT(outcome.err, Contains(file.string() + ": '") && Contains("has numbers that are not finite"));
}

TEST_CASE("B: standard output on a disk that is full is exit code 5, and a reader that leaves is none") {
  const std::string model = (quickstart() / "model").string();
  for (const std::string& line :
       {"lora-inspect' " + model, "lora-inspect' --json " + model, std::string("lora-train' --schema"),
        std::string("lora-train' --help"), std::string("lora-train' --man"),
        std::string("lora-train' --completion zsh"), "lora-generate' " + model + " --max-new-tokens 3 --prompt Anna"}) {
    const std::string command = "'" + (program("lora-train").parent_path() / line).string();
    CAPTURE(command);
    const Outcome full = with_bash(command + " > /dev/full");
    CHECK(full.exit_code == 5);
    CHECK_THAT(full.err, Contains("[storage] standard output: cannot be written to its end"));
    CHECK(with_bash(command + " >&-").exit_code == 0);
    const int left = with_bash(command + " 2>/dev/null | true; exit ${PIPESTATUS[0]}").exit_code;
    CHECK((left == 0 || left == 128 + SIGPIPE));
  }
}

TEST_CASE("A: a pipe in place of a run's metrics is refused by its name, and never waited for") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory), out = (directory / "run").string();
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const fs::path file = directory / "run/metrics.jsonl";
  fs::remove(file);
  REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"lora-train", recipe, "training.max_steps=8", "--resume"},
        {"lora-inspect", out},
        {"lora-inspect", out, out}}) {
    std::vector<std::string> limited = {"/usr/bin/timeout", "60", program(command.front()).string()};
    limited.insert(limited.end(), command.begin() + 1, command.end());
    const Outcome outcome = run(limited);
    CAPTURE(command, outcome.err);
    CHECK(outcome.exit_code == 5);
    CHECK_THAT(outcome.err, Contains(file.string() + ": is a pipe"));
  }
}

TEST_CASE("F: a pipe or a device in place of a file is refused by its name, and never waited for") {
  const TemporaryDirectory directory;
  for (const char* name : {"config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"}) {
    for (const bool pipe : {true, false}) {
      fs::remove_all(directory / "model");
      fs::copy(quickstart() / "model", directory / "model");
      const fs::path file = directory / "model" / name;
      fs::remove(file);
      if (pipe) {
        REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
      } else {
        fs::create_symlink("/dev/zero", file);
      }
      const Outcome outcome = run({"/usr/bin/timeout", "60", program("lora-generate").string(),
                                   (directory / "model").string(), "--prompt", "Anna", "--max-new-tokens", "2"});
      CAPTURE(name, pipe, outcome.err);
      CHECK(outcome.exit_code == 4);
      CHECK_THAT(outcome.err, Contains(file.string()));
    }
  }
}

TEST_CASE("F: what a terminal acts on in a file's names and values does not reach it") {
  const TemporaryDirectory directory;
  fs::copy(quickstart() / "model", directory / "model");
  json config = json::parse(read_bytes(directory / "model/config.json"));
  config["model_type"] =
      "x\x1b]0;title\x07\xC2\x9B"
      "2J";
  write_bytes(directory / "model/config.json", config.dump());
  const Outcome outcome = run({"lora-generate", (directory / "model").string(), "--prompt", "Anna"});
  CHECK(outcome.exit_code == 4);
  CHECK_THAT(outcome.err, Contains("x ]0;title"));
  for (const char* acts : {"\x1b", "\x07", "\xC2\x9B"}) CHECK_THAT(outcome.err, !Contains(acts));
}
