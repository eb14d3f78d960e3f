// The programs on the simulated device, which they get by LD_PRELOAD: a whole run beside the CPU's, and what bad input
// gets.

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "models/io/safetensors.h"
#include "tests/app/runs.h"
#include "tests/catch.h"
#include "tests/compare.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* kDevice = "model.device=privateuseone";

// `memory`: bytes of the device; empty: its own.
Environment simulated(const std::string& memory = "") {
  const fs::path library = fs::path(LORA_BINARY_DIR) / "tests/libsimulated_device.so";
  REQUIRE(fs::exists(library));
  Environment variables = {{"LD_PRELOAD", library.string()}};
  if (!memory.empty()) variables.emplace_back("LORA_SIMULATED_MEMORY", memory);
  return variables;
}

Outcome run_there(const std::vector<std::string>& arguments, const std::string& memory = "") {
  return run(arguments, "", simulated(memory));
}

void check_refused_there(const std::vector<std::string>& arguments, int code, const std::vector<std::string>& parts,
                         const std::string& memory = "") {
  const Outcome outcome = run_there(arguments, memory);
  CAPTURE(outcome.err, outcome.out);
  CHECK(outcome.exit_code == code);
  for (const std::string& part : parts) CHECK_THAT(outcome.err, Contains(part));
  CHECK(std::ranges::count(outcome.err, '\n') == 1);
}

void check_same_losses(const fs::path& found, const fs::path& expected, double epsilon) {
  const std::vector<json> a = metrics(found), b = metrics(expected);
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    for (const char* key : {"loss", "eval_loss", "grad_norm"}) {
      REQUIRE(a[i].contains(key) == b[i].contains(key));
      if (a[i].contains(key)) CHECK(a[i][key].get<double>() == Approx(b[i][key].get<double>()).epsilon(epsilon));
    }
  }
}

}  // namespace

TEST_CASE("a whole run on a device trains, evaluates, checkpoints, resumes and exports with the CPU's losses") {
  const TemporaryDirectory directory;
  const std::string recipe =
      quickstart_recipe(directory, "export: [peft, torchscript, huggingface, gguf]\nevaluation: {exact_match: 2}\n");
  const auto output = [&](const char* name) { return "output_dir=" + (directory / name).string(); };
  const Outcome here = run({"lora-train", recipe, output("cpu")});
  REQUIRE(here.exit_code == 0);
  const Outcome whole = run_there({"lora-train", recipe, kDevice, output("whole")});
  CAPTURE(whole.err);
  REQUIRE(whole.exit_code == 0);
  CHECK_THAT(whole.out,
             Contains("Device      privateuseone:0, ") && Contains(" of 4") && Contains("on privateuseone:0"));
  CHECK_THAT(whole.out, Contains("3 of 3 fused"));
  check_same_losses(directory / "whole", directory / "cpu", 1e-3);
  for (const char* file :
       {"adapter/adapter_model.safetensors", "merged.pt", "merged/model.safetensors", "model.gguf", "recipe.yaml"}) {
    CAPTURE(file);
    CHECK(fs::exists(directory / "whole" / file));
  }

  // Stopped and resumed: the same bits.
  REQUIRE(run_there({"lora-train", recipe, kDevice, output("parts")}).exit_code == 0);
  fs::remove_all(directory / "parts/checkpoints/step-000006");
  const Outcome resumed = run_there({"lora-train", recipe, kDevice, output("parts"), "--resume"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK_THAT(resumed.out, Contains("Resuming after step 4"));
  CHECK(comparable(directory / "parts") == comparable(directory / "whole"));
  CHECK(weights(directory / "parts", 6) == weights(directory / "whole", 6));

  // A run goes on on another device.
  fs::remove_all(directory / "parts/checkpoints/step-000006");
  const Outcome moved = run({"lora-train", recipe, "model.device=cpu", output("parts"), "--resume"});
  CAPTURE(moved.err);
  CHECK(moved.exit_code == 0);
  CHECK_THAT(moved.err, Contains("changed since the checkpoint: model.device: privateuseone -> cpu"));

  // What answers: the same text on both sides.
  const std::vector<std::string> ask = {"lora-generate",    (directory / "whole").string(),
                                        "--prompt",         "2 + 3 =",
                                        "--temperature",    "0",
                                        "--max-new-tokens", "8",
                                        "--device"};
  const auto on = [&](const std::string& name) {
    std::vector<std::string> arguments = ask;
    arguments.push_back(name);
    return arguments;
  };
  const Outcome answer = run_there(on("privateuseone")), expected = run(on("cpu"));
  CAPTURE(answer.err);
  CHECK(answer.exit_code == 0);
  CHECK(answer.out == expected.out);

  // What exports.
  const Outcome exported = run_there({"lora-export", (directory / "whole").string(), "--format", "huggingface",
                                      "--device", "privateuseone", "--output", (directory / "merged").string()});
  CAPTURE(exported.err);
  REQUIRE(exported.exit_code == 0);
  const SafetensorsFile merged(directory / "merged/model.safetensors"),
      own(directory / "whole/merged/model.safetensors");
  for (const auto& [name, entry] : own.entries()) CHECK(merged.tensor(name).equal(own.tensor(name)));
}

TEST_CASE("quantized, AdaLoRA and full runs on a device have the CPU's losses") {
  struct Case {
    std::string name;
    std::vector<std::string> changes;
  };
  for (const Case& one :
       {Case{"nf4", {"model.quantization=nf4", "model.dtype=bfloat16"}},
        Case{"adalora", {"adapter.method=adalora", "adapter.adalora={target_r: 2, tinit: 0, tfinal: 1}"}},
        Case{"full", {"adapter={method: full}", "training.learning_rate=1.0e-4"}}}) {
    INFO(one.name);
    const TemporaryDirectory directory;
    std::vector<std::string> arguments = {"lora-train", quickstart_recipe(directory), "training.max_steps=3",
                                          "training.eval_every=3"};
    arguments.insert(arguments.end(), one.changes.begin(), one.changes.end());
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.begin(), arguments.begin(), arguments.end());
      return more;
    };
    const Outcome here = run(with({"output_dir=" + (directory / "cpu").string()}));
    const Outcome there = run_there(with({"output_dir=" + (directory / "device").string(), kDevice}));
    CAPTURE(here.err, there.err);
    REQUIRE(here.exit_code == 0);
    REQUIRE(there.exit_code == 0);
    check_same_losses(directory / "device", directory / "cpu", one.name == "nf4" ? 5e-2 : 2e-3);
  }
}

TEST_CASE("a model that is larger than a device is trained with its layers in the host's memory, to the same bits") {
  const TemporaryDirectory directory;
  // Twelve layers of 983,040 parameters: 47 MB in float32.
  const fs::path model = directory / "model";
  fs::create_directory(model);
  fs::copy(quickstart() / "model/tokenizer.model", model / "tokenizer.model");
  json config = json::parse(read_bytes(quickstart() / "model/config.json"));
  config.update({{"hidden_size", 256}, {"intermediate_size", 1024}, {"num_hidden_layers", 12}, {"head_dim", 64}});
  write_bytes(model / "config.json", config.dump());
  const std::string recipe =
      quickstart_recipe(directory, "export: [peft, torchscript, huggingface]\nevaluation: {exact_match: 1}\n");
  const auto train = [&](const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"lora-train",
                                          recipe,
                                          kDevice,
                                          "model.path=" + model.string(),
                                          "model.init=random",
                                          "training.memory=low",
                                          "training.max_length=64",
                                          "evaluation.max_new_tokens=2",
                                          "output_dir=" + (directory / name).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_there(arguments);
  };
  const std::string limit = "training.memory_limit=180MB";
  const Outcome whole = train("whole", {}), fetched = train("fetched", {limit});
  CAPTURE(whole.err, fetched.err, whole.out);
  REQUIRE(whole.exit_code == 0);
  REQUIRE(fetched.exit_code == 0);
  CHECK_THAT(fetched.out, Contains("layers of 47 MB stay in the host's memory"));
  CHECK_THAT(whole.out, !Contains("stay in the host's memory"));
  CHECK_THAT(fetched.out, Contains("12 of 12 fused"));
  CHECK(comparable(directory / "fetched") == comparable(directory / "whole"));
  CHECK(weights(directory / "fetched", 6) == weights(directory / "whole", 6));
  // Layers were not all on the device.
  const auto peak = [&](const char* name) {
    int64_t most = 0;
    for (const json& row : metrics(directory / name)) most = std::max(most, row.value("peak_memory_bytes", int64_t{0}));
    return most;
  };
  CHECK(peak("whole") > 47'000'000);
  CHECK(peak("fetched") < 47'000'000);
  for (const char* file : {"adapter/adapter_model.safetensors", "merged.pt", "merged/model.safetensors"}) {
    CAPTURE(file);
    CHECK(read_bytes(directory / "fetched" / file) == read_bytes(directory / "whole" / file));
  }

  REQUIRE(train("parts", {limit}).exit_code == 0);
  fs::remove_all(directory / "parts/checkpoints/step-000006");
  const Outcome resumed = train("parts", {limit, "--resume"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK_THAT(resumed.out, Contains("Resuming after step 4"));
  CHECK(weights(directory / "parts", 6) == weights(directory / "whole", 6));

  // What does not fit even so, and what is not to be fetched.
  const auto refused = [&](std::vector<std::string> more, const std::vector<std::string>& parts) {
    more.emplace_back("--dry-run");
    const Outcome outcome = train("refused", more);
    CAPTURE(outcome.err, outcome.out);
    CHECK(outcome.exit_code == 2);
    for (const std::string& part : parts) CHECK_THAT(outcome.err, Contains(part));
    CHECK(std::ranges::count(outcome.err, '\n') == 1);
  };
  refused({"training.memory_limit=105MB"},
          {"training.memory_limit: this run needs ", "more than 105 MB, also with its layers in the host's memory; "});
  refused({limit, "training.memory=fast"}, {"training.memory_limit: this run needs ", "more than 180 MB; "});
  refused({limit, "adapter={method: full}", "export=[huggingface]"},
          {"training.memory_limit: this run needs ", "more than 180 MB; "});
}

TEST_CASE("auto takes a device with room for the run, and says why it takes none") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  const std::vector<std::string> arguments = {"lora-train", recipe, "--dry-run"};
  const Outcome room = run_there(arguments), none = run_there(arguments, "20000000"), plain = run(arguments);
  CHECK_THAT(room.out, Contains("Device      privateuseone:0"));
  CHECK_THAT(none.out,
             Contains("Device      the CPU: no GPU has ") && Contains(" free, the least that this run needs"));
  CHECK_THAT(plain.out, !Contains("Device      "));
  CHECK_THAT(plain.out, Contains("device: auto"));
}

TEST_CASE("devices that are not there, or too small, end a program with one message") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  check_refused({"lora-train", recipe, "model.device=cuda"}, 2,
                {"[device] cuda: ", "is built without it", "expected cpu", "scripts/setup --cuda"});
  check_refused({"lora-train", recipe, "model.device=gpu"}, 2,
                {"model.device=gpu", "expected one of auto, cpu, cuda, cuda:N, found 'gpu' (did you mean 'cuda'?)"});
  check_refused({"lora-train", recipe, "model.dtype=float16"}, 2,
                {"model.dtype: float16 is trained on a GPU alone", "bfloat16"});
  check_refused({"lora-generate", (quickstart() / "model").string(), "--device", "cuda:0", "--prompt", "x"}, 2,
                {"[device] cuda:0: "});
  check_refused_there({"lora-train", recipe, "model.device=privateuseone:3"}, 2,
                      {"[device] privateuseone:3: there is no"});
  check_refused_there(
      {"lora-train", recipe, kDevice}, 4,
      {"[memory] the GPU is too small: this run needs ", "which is more than 57 MB", "model.device: cpu"}, "60000000");
  check_refused_there({"lora-train", recipe, kDevice, "training.memory_limit=50MB"}, 2,
                      {"training.memory_limit: this run needs ", "which is more than 50 MB"});
  const fs::path run = directory / "run";
  CHECK_FALSE(fs::exists(run / "checkpoints"));
}

TEST_CASE("a device without memory for what it is asked ends a program with one message") {
  const std::vector<std::string> ask = {
      "lora-generate", (quickstart() / "model").string(), "--device", "privateuseone", "--prompt", "x"};
  check_refused_there(
      ask, 4, {"[memory] privateuseone:0 has 100 kB free, and the weights of ", "take 2.3 MB; expected --device cpu"},
      "100000");
  check_refused_there(ask, 4, {"expected quantization int8, which takes 983 kB; or quantization nf4, "}, "1800000");
  check_refused_there(ask, 4, {"[memory] the GPU has no more memory for lora-generate; --device cpu"}, "2400000");
}
