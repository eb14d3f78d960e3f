// The programs from outside, on the quickstart's model: what they write, how they stop and resume, and what bad input
// gets.

#include <ATen/ATen.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "lora/checkpoints/store.h"
#include "models/io/safetensors.h"
#include "tests/app/runs.h"
#include "tests/catch.h"
#include "tests/golden.h"
#include "tests/shared_data.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("a run writes its recipe, metrics, checkpoints and exports") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory, "export: [peft, torchscript, huggingface]\n");
  const Outcome outcome = run({"lora-train", recipe});
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  const fs::path out = directory / "run";
  for (const char* file : {"recipe.yaml", "metrics.jsonl", "adapter/adapter_config.json",
                           "adapter/adapter_model.safetensors", "merged.pt", "merged/model.safetensors",
                           "merged/config.json", "merged/tokenizer.model", "checkpoints/step-000006/manifest.json"}) {
    CAPTURE(file);
    CHECK(fs::exists(out / file));
  }
  int steps = 0, evaluations = 0;
  for (const json& row : metrics(out)) {
    for (const char* key : {"step", "epoch"}) CHECK(row.contains(key));
    if (row.contains("eval_loss")) {
      ++evaluations;
      continue;
    }
    ++steps;
    for (const char* key :
         {"loss", "grad_norm", "lr", "tokens", "supervised_tokens", "tokens_per_second", "mfu", "peak_memory_bytes"}) {
      CHECK(row.contains(key));
    }
  }
  CHECK(steps == 6);
  CHECK(evaluations == 2);
  CHECK(CheckpointStore(out).steps() == std::vector<int64_t>{4, 6});

  // The resolved recipe means the same run.
  const Outcome again = run({"lora-train", (out / "recipe.yaml").string(), "output_dir=" + (directory / "b").string()});
  CHECK(again.exit_code == 0);
  CHECK(comparable(directory / "b") == comparable(out));
}

TEST_CASE("an AdaLoRA run prunes to its budget, resumes in every phase with the same bits, and exports both ways") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory, "export: [peft, lora]\n");
  const std::vector<std::string> arguments = {"lora-train", recipe, "adapter.method=adalora",
                                              "adapter.adalora={target_r: 2, tinit: 1, tfinal: 2}",
                                              "training.checkpoint_keep=9"};
  const Outcome whole = run(arguments);
  CAPTURE(whole.err);
  REQUIRE(whole.exit_code == 0);
  const fs::path out = directory / "run";

  int64_t modules = 0, total = 0, choices = 0;
  for (const json& row : metrics(out)) {
    if (row.contains("loss")) CHECK(row.contains("orth_loss"));
    choices += row.contains("rank_budget");
    if (!row.contains("rank_pattern")) continue;
    CHECK(row["step"] == 4);
    for (const auto& [path, rank] : row["rank_pattern"].items()) ++modules, total += rank.get<int64_t>();
    CHECK(row["rank_total"] == total);
    CHECK(row["rank_budget"] == 2 * modules);
  }
  CHECK(choices == 3);
  CHECK(modules > 0);
  CHECK(total == 2 * modules);

  const json peft = read_json(out / "adapter/adapter_config.json");
  CHECK(peft["peft_type"] == "ADALORA");
  CHECK(peft["total_step"] == 6);
  CHECK(static_cast<int64_t>(peft["rank_pattern"].size()) == modules);
  const json lora = read_json(out / "adapter-lora/adapter_config.json");
  CHECK(lora["peft_type"] == "LORA");
  int64_t ranks = 0;
  for (const auto& [path, rank] : lora["rank_pattern"].items()) ranks += rank.get<int64_t>();
  CHECK(ranks == total);

  for (const int64_t step : {2, 4}) {  // while it prunes, and when it has
    const fs::path again = directory / ("again-" + std::to_string(step));
    fs::copy(out, again, fs::copy_options::recursive);
    for (int64_t later = step + 2; later <= 6; later += 2) fs::remove_all(CheckpointStore(again).directory(later));
    std::vector<std::string> resumed = arguments;
    resumed.insert(resumed.end(), {"--resume", "output_dir=" + again.string()});
    const Outcome outcome = run(resumed);
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    CHECK(comparable(again) == comparable(out));
    CHECK(weights(again, 6) == weights(out, 6));
    CHECK(read_bytes(again / "adapter/adapter_model.safetensors") ==
          read_bytes(out / "adapter/adapter_model.safetensors"));
  }

  // A checkpoint's adapter has every triplet; lora-export prunes it as the run did.
  REQUIRE(run({"lora-export", out.string(), "--format", "peft", "--output", (directory / "peft").string()}).exit_code ==
          0);
  for (const char* file : {"adapter_config.json", "adapter_model.safetensors"}) {
    CHECK(read_bytes(directory / "peft" / file) == read_bytes(out / "adapter" / file));
  }
  for (const char* from : {"adapter", "adapter-lora"}) {
    CHECK(
        run({"lora-export", (out / from).string(), "--format", "huggingface", "--output", (directory / from).string()})
            .exit_code == 0);
  }
  const SafetensorsFile a(directory / "adapter/model.safetensors"), b(directory / "adapter-lora/model.safetensors");
  for (const auto& [name, entry] : a.entries()) CHECK(at::allclose(a.tensor(name), b.tensor(name), 1e-5, 1e-6));

  check_refused({"lora-train", recipe, "adapter.method=adalora", "adapter.adalora={target_r: 2, tinit: 5, tfinal: 1}",
                 "output_dir=" + (directory / "none").string()},
                2, {"adapter.adalora.tinit", "6 steps"});
  CHECK_FALSE(fs::exists(directory / "none/metrics.jsonl"));
}

TEST_CASE(
    "DoRA, PiSSA, OLoRA, embeddings, heads and rows resume from a checkpoint with the same bits, and are exported",
    "[.long]") {
  const std::vector<std::vector<std::string>> changes = {
      {"adapter.method=dora"},
      {"adapter.init=pissa_niter_2"},
      {"adapter.init=olora"},
      {"adapter.target_modules=[q_proj, embed_tokens]"},
      {"adapter.target_modules=[q_proj, lm_head]", "adapter.ensure_weight_tying=false"},
      {"adapter.modules_to_save=[lm_head]"},
      {"adapter.trainable_token_indices=[5, 3]"},
  };
  for (const std::vector<std::string>& change : changes) {
    CAPTURE(change);
    const TemporaryDirectory directory;
    std::vector<std::string> train = {"lora-train", quickstart_recipe(directory, "export: [peft, torchscript]\n"),
                                      "training.loraplus_lr_ratio=4"};
    train.insert(train.end(), change.begin(), change.end());
    REQUIRE(run(train).exit_code == 0);
    const fs::path out = directory / "run";
    const std::string wanted = weights(out, 6), adapter = read_bytes(out / "adapter/adapter_model.safetensors");
    const auto rows = comparable(out);
    fs::remove_all(CheckpointStore(out).directory(6));
    train.push_back("--resume");
    const Outcome resumed = run(train);
    CAPTURE(resumed.out, resumed.err);
    REQUIRE(resumed.exit_code == 0);
    CHECK_THAT(resumed.out, Contains("Resuming after step 4"));
    CHECK(weights(out, 6) == wanted);
    CHECK(comparable(out) == rows);

    const Outcome exported =
        run({"lora-export", out.string(), "--format", "peft", "--output", (directory / "again").string()});
    CAPTURE(exported.err);
    REQUIRE(exported.exit_code == 0);
    CHECK(read_bytes(directory / "again/adapter_model.safetensors") == adapter);
  }
}

TEST_CASE("lora-inspect tells of a run, its checkpoint, its adapter and the model, as text and as JSON") {
  const TemporaryDirectory directory;
  REQUIRE(run({"lora-train", quickstart_recipe(directory, "export: [peft]\n")}).exit_code == 0);
  const fs::path out = directory / "run", model = quickstart() / "model";
  for (const auto& [path, kind] :
       std::vector<std::pair<fs::path, std::string>>{{out, "run"},
                                                     {CheckpointStore(out).directory(6), "checkpoint"},
                                                     {out / "adapter", "adapter"},
                                                     {model, "model"}}) {
    CAPTURE(path);
    const Outcome text = run({"lora-inspect", path.string()}), as_json = run({"lora-inspect", path.string(), "--json"});
    CAPTURE(text.err, as_json.err, text.out);
    REQUIRE(text.exit_code == 0);
    REQUIRE(as_json.exit_code == 0);
    CHECK_THAT(text.out, Contains("Nothing odd."));
    const json found = json::parse(as_json.out);
    CHECK(found["kind"] == kind);
    CHECK(found["odd"].empty());
    if (kind != "model") CHECK(found["adapted"].size() == 6);
    if (kind == "run") CHECK(found["step"] == 6);
    if (kind == "checkpoint") CHECK(found["whole"] == true);
  }
  check_refused({"lora-inspect", (directory / "nowhere").string()}, 4, {"there is no such file or directory"});
}

TEST_CASE("LoRA takes the loss of a real model on real instructions down") {
  const auto model = shared_data("stories260k"), rows = shared_data("instruction/instruction-data.json");
  if (!model || !rows) return;
  const TemporaryDirectory directory;
  write_bytes(directory / "recipe.yaml", "model: {path: " + model->string() + R"(}
adapter: {rank: 8, alpha: 16, target_modules: all-linear}
data: {train: [{path: )" + rows->string() + R"(, format: alpaca}]}
training: {max_steps: 60, batch_size: 4, max_length: 384, learning_rate: 5.0e-3}
output_dir: )" + (directory / "run").string() +
                                             "\n");
  const Outcome outcome = run({"lora-train", (directory / "recipe.yaml").string()});
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  double first = 0, last = 0;
  const auto steps = metrics(directory / "run");
  REQUIRE(steps.size() == 60);
  for (size_t i = 0; i < 10; ++i) {
    first += steps[i]["loss"].get<double>() / 10;
    last += steps[50 + i]["loss"].get<double>() / 10;
  }
  CHECK(last < first - 0.5);
}

TEST_CASE("a dry run shows the resolved recipe, the adapters and masked rows, and writes nothing") {
  const TemporaryDirectory directory;
  const Outcome outcome = run({"lora-train", quickstart_recipe(directory), "--dry-run", "adapter.rank=5"});
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("rank: 5") && Contains("model.layers.*.self_attn.q_proj") && Contains("⟦"));
  CHECK_FALSE(fs::exists(directory / "run"));
}

TEST_CASE("bad recipes are refused with exit code 2 before anything is written") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  check_refused({"lora-train", recipe, "adapter.rank=0"}, 2, {"rank"});
  check_refused({"lora-train", recipe, "training.learning_rate=.nan"}, 2, {"learning_rate"});
  check_refused({"lora-train", recipe, "adapter.rnak=4"}, 2, {"rnak", "did you mean 'rank'"});
  check_refused({"lora-train", (directory / "none.yaml").string()}, 2, {"none.yaml"});
  CHECK_FALSE(fs::exists(directory / "run"));
  write_bytes(directory / "typo.yaml", read_bytes(recipe) + "optput_dir: x\n");
  check_refused({"lora-train", (directory / "typo.yaml").string()}, 2, {"typo.yaml:", "optput_dir", "output_dir"});
  CHECK(run({"lora-train"}).exit_code == 2);
  CHECK(run({"lora-train", recipe, "--no-such-flag"}).exit_code == 2);
}

TEST_CASE("a target that matches nothing is refused with the nearest name") {
  const TemporaryDirectory directory;
  check_refused({"lora-train", quickstart_recipe(directory), "adapter.target_modules=[q_proj, v_prj]"}, 2,
                {"'v_prj' matches no module", "v_proj"});
}

TEST_CASE("an export that the model or the method cannot have is refused before anything is trained") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory, "export: [peft, gguf-lora]\n");
  for (const std::string dry : {"training.max_steps=2", "--dry-run"}) {
    check_refused({"lora-train", recipe, "adapter.method=dora", dry}, 2, {"[export] gguf-lora: method 'dora'"});
  }
  CHECK(run({"lora-train", recipe, "export=[gguf-lora]", "training.max_steps=1"}).exit_code == 0);
}

TEST_CASE("a rank that no weight of that shape can have is refused") {
  const TemporaryDirectory directory;
  check_refused({"lora-train", quickstart_recipe(directory), "adapter.rank=1000"}, 2,
                {"rank 1000 of 'model.layers.0.self_attn.q_proj'", "rank_pattern"});
}

TEST_CASE("missing and useless data are refused with exit code 3") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  check_refused({"lora-train", recipe, "data.train.0.path=/no/such/file.jsonl"}, 3, {"/no/such/file.jsonl"});
  write_bytes(directory / "empty.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\"");
  check_refused({"lora-train", recipe, "data.train.0.path=" + (directory / "empty.jsonl").string()}, 3,
                {"empty.jsonl:2"});
  // Cut so short that only masked prompt tokens are left.
  check_refused({"lora-train", recipe, "training.max_length=4"}, 3, {"max_length"});
}

TEST_CASE("a model that is damaged or missing is refused with exit code 4") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  check_refused({"lora-train", recipe, "model.path=/no/such/model"}, 4, {"/no/such/model"});
  fs::copy(quickstart() / "model", directory / "model", fs::copy_options::recursive);
  const fs::path file = directory / "model/model.safetensors";
  fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
  fs::resize_file(file, fs::file_size(file) / 2);
  check_refused({"lora-train", recipe, "model.path=" + (directory / "model").string()}, 4, {"model.safetensors"});
}

TEST_CASE("a second run into a used directory is refused and loses nothing") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const std::string before = read_bytes(directory / "run/metrics.jsonl");
  check_refused({"lora-train", recipe}, 5, {"already holds a run", "--resume"});
  CHECK(read_bytes(directory / "run/metrics.jsonl") == before);
  check_refused({"lora-train", recipe, "--resume", "adapter.rank=8"}, 2, {"adapter.rank"});
  CHECK(run({"lora-train", recipe, "--resume"}).exit_code == 0);
  CHECK(read_bytes(directory / "run/metrics.jsonl") == before);
}

TEST_CASE("keep_best exports the weights of the best evaluation and keeps its checkpoint") {
  const TemporaryDirectory directory;
  // Held out is what the model was pretrained on: the more it learns of the questions, the less it knows of that.
  write_bytes(directory / "village.jsonl",
              "{\"text\": \"Anna keeps a goat. The door of Anna is red. By trade Anna is a baker.\"}\n");
  const Outcome outcome =
      run({"lora-train", quickstart_recipe(directory, "export: [peft]\n"), "training.keep_best=true",
           "training.eval_every=1", "training.max_steps=8", "training.learning_rate=0.02", "training.checkpoint_keep=1",
           "training.lr_schedule=constant",
           "data.validation=[{path: " + (directory / "village.jsonl").string() + ", format: text}]"});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  std::map<double, int64_t> by_loss;
  for (const json& row : metrics(directory / "run")) {
    if (row.contains("eval_loss")) by_loss[row["eval_loss"]] = row["step"];
  }
  const int64_t best = by_loss.begin()->second;
  REQUIRE(best < 8);
  const auto steps = CheckpointStore(directory / "run").steps();
  CHECK(steps == std::vector<int64_t>{best, 8});
  CHECK(read_bytes(directory / "run/adapter/adapter_model.safetensors") ==
        read_bytes(CheckpointStore(directory / "run").directory(best) / "adapter_model.safetensors"));
}

TEST_CASE("lora-export writes from a run or an adapter what the run itself exports") {
  const TemporaryDirectory directory;
  REQUIRE(run({"lora-train", quickstart_recipe(directory, "export: [peft, huggingface]\n")}).exit_code == 0);
  const std::string run_directory = (directory / "run").string();
  const Outcome outcome =
      run({"lora-export", run_directory, "--format", "huggingface", "--output", (directory / "a").string()});
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  REQUIRE(run({"lora-export", run_directory + "/adapter", "--format", "huggingface", "--output",
               (directory / "b").string()})
              .exit_code == 0);
  const std::string wanted = read_bytes(directory / "run/merged/model.safetensors");
  CHECK(read_bytes(directory / "a/model.safetensors") == wanted);
  CHECK(SafetensorsFile(directory / "b/model.safetensors").entries().size() ==
        SafetensorsFile(directory / "a/model.safetensors").entries().size());
  check_refused({"lora-export", (directory / "a").string(), "--format", "peft", "--output", (directory / "c").string()},
                2, {"is not a run or an adapter"});
  CHECK(run({"lora-export", run_directory, "--format", "onnx", "--output", "x"}).exit_code == 2);
}

TEST_CASE("lora-export combines adapters, and says what that lost") {
  const TemporaryDirectory one, two;
  REQUIRE(run({"lora-train", quickstart_recipe(one, "export: [peft]\n"), "training.learning_rate=0.02"}).exit_code ==
          0);
  REQUIRE(run({"lora-train", quickstart_recipe(two, "export: [peft]\n"), "training.learning_rate=0.02",
               "adapter.rank=2", "training.seed=7"})
              .exit_code == 0);
  const std::string a = (one / "run").string(), b = (two / "run/adapter").string();
  const auto combine = [&](const std::string& name, const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {"lora-export", "--combine", a + "=0.7", b + "=-0.3"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.insert(arguments.end(), {"--output", (one / name).string()});
    return run(arguments);
  };
  const Outcome exact = combine("cat", {"--format", "peft"});
  CAPTURE(exact.err);
  REQUIRE(exact.exit_code == 0);
  CHECK_THAT(exact.out, Contains("2 adapters by cat") && Contains("0.000 %"));
  CHECK(read_json(one / "cat/adapter_config.json")["r"] == 6);

  // The weighted sum of what each adapter adds to the base, in the merged model.
  const auto weight = [&](const std::vector<std::string>& source, const std::string& name) {
    std::vector<std::string> arguments = {"lora-export", "--format", "huggingface", "--output", (one / name).string()};
    arguments.insert(arguments.begin() + 1, source.begin(), source.end());
    const Outcome outcome = run(arguments);
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    const SafetensorsFile file(one / name / "model.safetensors");
    return file.tensor("model.layers.0.self_attn.q_proj.weight").clone();
  };
  const at::Tensor base = SafetensorsFile(quickstart() / "model/model.safetensors")
                              .tensor("model.layers.0.self_attn.q_proj.weight")
                              .to(at::kFloat);
  const at::Tensor wanted = base + 0.7 * (weight({a}, "a") - base) - 0.3 * (weight({b}, "b") - base);
  CHECK((weight({(one / "cat").string()}, "from-peft") - wanted).abs().max().item<double>() < 1e-6);
  CHECK((weight({"--combine", a + "=0.7", b + "=-0.3"}, "merged") - wanted).abs().max().item<double>() < 1e-6);

  const Outcome cut = combine("svd", {"--combination-type", "svd", "--rank", "1", "--format", "peft"});
  CHECK(cut.exit_code == 0);
  CHECK(read_json(one / "svd/adapter_config.json")["r"] == 1);

  const auto refused = [&](const std::vector<std::string>& options, int code, const std::vector<std::string>& parts) {
    const Outcome outcome = combine("refused", options);
    CAPTURE(outcome.err);
    CHECK(outcome.exit_code == code);
    for (const std::string& part : parts) CHECK_THAT(outcome.err, Contains(part));
    CHECK_FALSE(fs::exists(one / "refused"));
  };
  refused({"--combination-type", "linear", "--format", "peft"}, 2, {"one rank", "cat and svd"});
  refused({"--combination-type", "ties", "--format", "peft"}, 2, {"density"});
  refused({"--combination-type", "mean", "--format", "peft"}, 2, {"mean"});
  json config = read_json(two / "run/adapter/adapter_config.json");
  config["base_model_name_or_path"] = "someone/another-model";
  write_bytes(two / "run/adapter/adapter_config.json", config.dump());
  refused({"--format", "peft"}, 2, {"someone/another-model", "--model"});
  CHECK(combine("told", {"--format", "peft", "--model", (quickstart() / "model").string()}).exit_code == 0);
  check_refused({"lora-export", "--combine", a, "--format", "peft", "--output", "x"}, 2, {"PATH=WEIGHT"});
  check_refused({"lora-export", "--format", "peft", "--output", "x"}, 2, {"RUN_OR_ADAPTER"});
}
