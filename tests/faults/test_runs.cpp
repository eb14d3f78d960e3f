// What a run does where the world around it is not as it should be: nothing is lost, nothing is half done, and the
// message names the thing.

#include <sys/stat.h>

#include "models/io/safetensors.h"
#include "tests/app/runs.h"
#include "tests/faults/fixtures.h"

using namespace lora;
using namespace lora::test;
namespace fs = std::filesystem;
using Catch::Matchers::Contains;

namespace {

void replace_in(const fs::path& file, const std::string& old, const std::string& fresh) {
  std::string text = read_bytes(file);
  const size_t at = text.find(old);
  REQUIRE(at != std::string::npos);
  write_bytes(file, text.replace(at, old.size(), fresh));
}

std::string quoted(const fs::path& path) { return "'" + path.string() + "'"; }

Outcome shell(const std::string& line) { return run({"/bin/bash", "-c", line}); }

// A copy of the quickstart's model that a test may damage.
fs::path copied_model(const TemporaryDirectory& directory) {
  fs::copy(quickstart() / "model", directory / "model", fs::copy_options::recursive);
  return directory / "model";
}

}  // namespace

TEST_CASE(
    "A: future format version, or no checkpoint that can be read: nothing is touched, and --restart keeps what was "
    "there") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  const fs::path out = directory / "run";
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const bool newer = GENERATE(false, true);
  for (const int64_t step : CheckpointStore(out).steps()) {
    const fs::path checkpoint = CheckpointStore(out).directory(step);
    if (newer) {
      replace_in(checkpoint / "manifest.json", "\"format_version\": 1", "\"format_version\": 2");
    } else {
      fs::resize_file(checkpoint / "optimizer.safetensors", 100);
    }
  }
  const auto before = files_in(out);
  check_refused({"lora-train", recipe, "--resume"}, 5,
                {"none of its 2 checkpoints can be read", "step-000006", newer ? "format_version 2" : "found 100 bytes",
                 "--restart"});
  CHECK(files_in(out) == before);
  check_refused({"lora-train", recipe}, 5, {"already holds a run", "--resume", "--restart"});
  CHECK(files_in(out) == before);

  const Outcome restarted = run({"lora-train", recipe, "--restart"});
  CAPTURE(restarted.err);
  REQUIRE(restarted.exit_code == 0);
  const auto old = files_in(out / "old-1");
  for (const auto& [file, bytes] : before) {
    if (file.starts_with("checkpoints") || file == "metrics.jsonl" || file == "recipe.yaml")
      CHECK(old.at(file) == bytes);
  }
  CHECK(metrics(out).front().at("step") == 1);
  CHECK(CheckpointStore(out).steps() == std::vector<int64_t>{4, 6});
  REQUIRE(run({"lora-train", recipe, "--restart"}).exit_code == 0);
  CHECK(fs::exists(out / "old-2/checkpoints/step-000006/manifest.json"));
  CHECK(run({"lora-train", recipe, "--resume", "--restart"}).exit_code == 2);
}

TEST_CASE("A: resume with a changed recipe or model: what differs is said, other weights are refused") {
  const TemporaryDirectory directory;
  const fs::path model = copied_model(directory);
  const std::string recipe = quickstart_recipe(directory), path = "model.path=" + model.string();
  REQUIRE(run({"lora-train", recipe, path, "training.threads=1"}).exit_code == 0);

  const Outcome changed = run({"lora-train", recipe, path, "--resume", "training.threads=2", "training.max_steps=8",
                               "training.learning_rate=5e-4", "training.max_grad_norm=0.5"});
  CAPTURE(changed.err);
  REQUIRE(changed.exit_code == 0);
  CHECK_THAT(changed.err, Contains("was trained with 1 threads, this process has 2"));
  CHECK_THAT(changed.err, Contains("changed since the checkpoint: training.learning_rate: 0.001 -> 5.0e-04"));
  CHECK_THAT(changed.err, Contains("training.max_steps: 6 -> 8") && Contains("training.max_grad_norm: 1.0 -> 0.5"));

  std::string weights = read_bytes(model / "model.safetensors");
  weights.back() = static_cast<char>(weights.back() ^ 1);
  write_bytes(model / "model.safetensors", weights);
  const auto before = files_in(directory / "run");
  check_refused({"lora-train", recipe, path, "--resume", "training.max_steps=9"}, 4,
                {"model.safetensors", "was trained on other weights under this name"});
  CHECK(files_in(directory / "run") == before);
}

TEST_CASE("B: closed stdout: a run whose reader leaves goes to its end") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  const Outcome outcome = shell(quoted(program("lora-train")) + " " + recipe + " | head -1; exit ${PIPESTATUS[0]}");
  CHECK(outcome.exit_code == 0);
  CHECK(std::ranges::count(outcome.out, '\n') == 1);
  CHECK(metrics(directory / "run").back().at("step") == 6);
  CHECK(CheckpointStore(directory / "run").newest_whole().checkpoint->step == 6);
}

TEST_CASE("A: umask 000: no file is writable for everyone") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory, "export: [peft, huggingface]\n");
  REQUIRE(shell("umask 000; exec " + quoted(program("lora-train")) + " " + recipe).exit_code == 0);
  for (const auto& item : fs::recursive_directory_iterator(directory / "run")) {
    CAPTURE(item.path());
    CHECK((item.status().permissions() & fs::perms::others_write) == fs::perms::none);
  }
}

TEST_CASE("JSON that nests 100,000 deep is refused by every reader") {
  const TemporaryDirectory directory;
  const fs::path model = copied_model(directory);
  const std::string recipe = quickstart_recipe(directory, "export: [peft]\n"), path = "model.path=" + model.string();
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  REQUIRE(run({"lora-train", recipe, path}).exit_code == 0);

  const fs::path adapter = directory / "run/adapter";
  replace_in(adapter / "adapter_config.json", "{", "{\"unknown\": " + deep + ",");
  check_refused({"lora-generate", model.string(), "--adapter", adapter.string(), "--prompt", "a"}, 4,
                {"adapter_config.json", "nested deeper than 200"});
  write_bytes(model / "generation_config.json", "{\"eos_token_id\": " + deep + "}");
  check_refused({"lora-generate", model.string(), "--prompt", "a"}, 4, {"generation_config.json"});
  fs::remove(model / "generation_config.json");

  for (const char* file : {"config.json", "tokenizer_config.json", "tokenizer.json", "labels.json"}) {
    if (!fs::exists(model / file)) continue;
    const std::string whole = read_bytes(model / file);
    replace_in(model / file, "{", "{\"rope_scaling\": " + deep + ",");
    CAPTURE(file);
    const Outcome outcome = run({"lora-train", recipe, path, "output_dir=" + (directory / "none").string()});
    CHECK(outcome.exit_code == 4);
    CHECK_THAT(outcome.err, Contains(file));
    write_bytes(model / file, whole);
  }
}

TEST_CASE("a number that no float64 holds is an error of its row, and skipped where that is asked for") {
  const TemporaryDirectory directory;
  write_bytes(directory / "rows.jsonl", counting_rows(20) + "{\"prompt\": \"a\", \"completion\": 1e999}\n");
  const std::string recipe = quickstart_recipe(directory);
  const std::string data = "data.train=[{path: " + (directory / "rows.jsonl").string() + ", format: completion}]";
  check_refused({"lora-train", recipe, data}, 3, {"rows.jsonl:21", "no float64"});
  const Outcome skipped = run({"lora-train", recipe, data, "data.on_error=skip", "training.max_length=64"});
  CAPTURE(skipped.err);
  CHECK(skipped.exit_code == 0);
}

TEST_CASE("names that no file system takes are refused without an internal error") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory), name(300, 'a');
  fs::create_directory_symlink(directory / "loop", directory / "loop");
  for (const std::string& place : {(directory / name).string(), (directory / "loop" / "a").string()}) {
    for (const char* key : {"model.path=", "output_dir=", "data.cache_dir="}) {
      CAPTURE(key, place);
      const int code = run({"lora-train", recipe, key + place}).exit_code;
      CHECK(code != 1);  // a cache that cannot be kept is no error
      CHECK(code <= 5);
    }
    CHECK(run({"lora-inspect", place}).exit_code >= 2);
  }
}

TEST_CASE("B: NaN base weight is named, and nothing is published") {
  const TemporaryDirectory directory;
  const fs::path model = copied_model(directory);
  NamedTensors tensors;
  {
    const SafetensorsFile file(model / "model.safetensors");
    for (const auto& [name, entry] : file.entries()) tensors.emplace_back(name, file.tensor(name).clone());
  }
  for (auto& [name, tensor] : tensors) {
    if (name == "model.layers.1.mlp.up_proj.weight") tensor.view(-1)[7] = std::nanf("");
  }
  write_safetensors(model / "model.safetensors", tensors);
  const std::string recipe = quickstart_recipe(directory);
  const Outcome outcome = run({"lora-train", recipe, "model.path=" + model.string()});
  CHECK(outcome.exit_code == 6);
  CHECK_THAT(outcome.err, Contains("model.layers.1.mlp.up_proj.weight") && Contains("not finite"));
  CHECK_FALSE(fs::exists(directory / "run/adapter"));
  CHECK_FALSE(fs::exists(directory / "run/checkpoints"));
}

TEST_CASE("A: kill during export: the next one removes leftovers, but nothing that a running one writes") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory, "export: [peft, torchscript]\n");
  const fs::path out = directory / "run";
  fs::create_directories(out / ".adapter.tmp-999999999/sub");
  fs::create_directory(out / ".adapter.old.tmp-999999998");
  write_bytes(out / ".merged.pt.tmp-999999997", "half");
  write_bytes(out / "..merged.pt.tmp-999999997.tmp-999999997-3", "half of a half");
  write_bytes(out / ".metrics.jsonl.tmp-999999997-1", "half");
  write_bytes(out / ".recipe.yaml.tmp-999999997-0", "half");
  const std::string alive = ".adapter.tmp-" + std::to_string(::getpid());
  fs::create_directory(out / alive);
  write_bytes(out / ".adapter.tmp-notes", "mine");
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  std::set<std::string> hidden;
  for (const auto& item : fs::directory_iterator(out)) {
    if (item.path().filename().string().starts_with(".")) hidden.insert(item.path().filename().string());
  }
  CHECK(hidden == std::set<std::string>{".adapter.tmp-notes", alive, ".lock"});
}

TEST_CASE("sizes beyond any model are refused by name, not met as an internal error") {
  const TemporaryDirectory directory;
  const fs::path model = copied_model(directory);
  const std::string recipe = quickstart_recipe(directory, "export: [peft]\n"), path = "model.path=" + model.string();
  REQUIRE(run({"lora-train", recipe, path}).exit_code == 0);
  const std::string config = read_bytes(model / "config.json");
  for (const char* key :
       {"hidden_size", "intermediate_size", "vocab_size", "num_attention_heads", "head_dim", "num_hidden_layers"}) {
    for (const int64_t size : {int64_t{1} << 31, int64_t{1'000'000}}) {
      auto object = nlohmann::json::parse(config);
      object[key] = size;
      if (std::string(key) == "num_attention_heads") object["num_key_value_heads"] = size;
      write_bytes(model / "config.json", object.dump());
      CAPTURE(key, size);
      const Outcome outcome = run({"lora-train", recipe, path, "output_dir=" + (directory / "none").string()});
      CHECK(outcome.exit_code == 4);
      CHECK(run({"lora-train", recipe, path, "--dry-run"}).exit_code == 4);
    }
  }
  write_bytes(model / "config.json", config);
  const fs::path adapter = directory / "run/adapter";
  const std::string peft = read_bytes(adapter / "adapter_config.json");
  for (const char* change :
       {"{\"r\": -3}", "{\"r\": 1000000000000}", "{\"r\": 0}", "{\"rank_pattern\": {\"q_proj\": 1000000000000}}",
        "{\"rank_pattern\": {\"q_proj\": -1}}", "{\"r\": 2147483647}", "{\"lora_alpha\": 1e300}"}) {
    auto object = nlohmann::json::parse(peft);
    object.update(nlohmann::json::parse(change));
    write_bytes(adapter / "adapter_config.json", object.dump());
    CAPTURE(change);
    check_refused({"lora-generate", model.string(), "--adapter", adapter.string(), "--prompt", "a"}, 4, {});
  }
}
