// Runs that learn from preferences, as a person starts them.

#include <map>

#include "tests/app/runs.h"

using namespace lora;
using namespace lora::test;
namespace fs = std::filesystem;
using Catch::Matchers::Contains;

namespace {

const std::string kAdapter = "method: lora, rank: 4, alpha: 8, dropout: 0.1, target_modules: [q_proj, v_proj]";

const std::string kSixSteps = "max_steps: 6, eval_every: 3, ";

std::string preference_recipe(const TemporaryDirectory& directory, const std::string& training,
                              const std::string& adapter = kAdapter, const std::string& quantization = "none") {
  const std::string data = (quickstart() / "data").string();
  write_bytes(directory / "recipe.yaml", "model: {path: " + (quickstart() / "model").string() +
                                             ", dtype: float32, quantization: " + quantization + "}\nadapter: {" +
                                             adapter + R"(}
data:
  train: [{path: )" + data + R"(/pairs-validation.jsonl}]
  validation: [{path: )" + data + R"(/pairs-validation.jsonl}]
  cleaning: {near_duplicates: "off", contamination: "off"}
training: {batch_size: 2, max_length: 256, learning_rate: 1.0e-3, checkpoint_every: 2, )" +
                                             training + "}\noutput_dir: " + (directory / "run").string() + "\n");
  return (directory / "recipe.yaml").string();
}

}  // namespace

TEST_CASE("a preference run that is resumed gives the bits of one that never stopped, also without the data cache") {
  const std::string objective = GENERATE("dpo", "kto", "orpo", "reward");
  const TemporaryDirectory directory;
  const std::string recipe = preference_recipe(directory, kSixSteps + "objective: " + objective);
  const fs::path out = directory / "run";
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  const auto rows = comparable(out);
  const std::string whole = weights(out, 6);
  fs::remove_all(CheckpointStore(out).directory(6));
  const Outcome resumed = run({"lora-train", recipe, "--resume"});  // with a cache of its own
  CAPTURE(objective, resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK(weights(out, 6) == whole);
  CHECK(comparable(out) == rows);
}

TEST_CASE("a preference run writes rewards under TRL's names, and the best evaluation by one of them") {
  const TemporaryDirectory directory;
  const std::string recipe =
      preference_recipe(directory, kSixSteps + "objective: dpo, keep_best: true, best_by: rewards/accuracies");
  const Outcome outcome = run({"lora-train", recipe});
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("Steps       6 of 2 pairs") && Contains("margin ") && Contains("Reference   "));
  const std::vector<nlohmann::json> rows = metrics(directory / "run");
  for (const char* name : {"rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies",
                           "logps/chosen", "logps/rejected"}) {
    CHECK(rows.front().contains(name));
    CHECK(rows.back().contains("eval_" + std::string(name)));
  }
  CHECK(rows.front().at("loss").get<double>() == Approx(std::log(2.0)).epsilon(1e-6));
}

TEST_CASE("prepared data does not go with preferences, and is refused by name") {
  const TemporaryDirectory directory;
  const std::string recipe = preference_recipe(directory, kSixSteps + "objective: dpo");
  check_refused({"lora-data", "prepare", recipe, "--output", (directory / "prepared").string()}, 2,
                {"training.objective: data for dpo is not prepared"});
}

// Runs dpo for four steps, and again from the second: the same bits. The first loss is log 2: the policy is its own
// reference. Returns the run's directory.
fs::path check_preference_run(const TemporaryDirectory& directory, const std::string& adapter,
                              const std::string& quantization = "none") {
  const std::string recipe =
      preference_recipe(directory, "objective: dpo, max_steps: 4, eval_every: 4", adapter, quantization);
  fs::path out = directory / "run";
  const Outcome whole = run({"lora-train", recipe});
  CAPTURE(adapter, quantization, whole.out, whole.err);
  REQUIRE(whole.exit_code == 0);
  CHECK(metrics(out).front().at("loss").get<double>() == Approx(std::log(2.0)).epsilon(1e-5));
  const auto files = [&] {
    std::map<std::string, std::string> bytes;
    for (const auto& entry : fs::directory_iterator(CheckpointStore(out).directory(4))) {
      if (entry.path().extension() == ".safetensors") bytes[entry.path().filename()] = read_bytes(entry.path());
    }
    return bytes;
  };
  const auto rows = comparable(out);
  const auto weights_of_whole = files();
  CHECK(weights_of_whole.size() >= 2);
  fs::remove_all(CheckpointStore(out).directory(4));
  const Outcome resumed = run({"lora-train", recipe, "--resume"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK(files() == weights_of_whole);
  CHECK(comparable(out) == rows);
  return out;
}

TEST_CASE("every method learns from preferences, from itself as the reference, and resumes and exports") {
  const std::string method = GENERATE("rslora, rank: 4", "dora, rank: 4", "lora_fa, rank: 4",
                                      "adalora, rank: 4, adalora: {target_r: 2}", "lora, rank: 4, init: pissa",
                                      "lora, rank: 4, modules_to_save: [norm], bias: none, dropout: 0.2", "full");
  const TemporaryDirectory directory;
  const fs::path out =
      check_preference_run(directory, "method: " + method + (method == "full" ? "" : ", target_modules: all-linear"));
  const Outcome exported =
      run({"lora-export", out.string(), "--format", "huggingface", "--output", (directory / "merged").string()});
  CAPTURE(method, exported.err);
  REQUIRE(exported.exit_code == 0);
  CHECK_THAT(exported.out, Contains("logits of"));  // of the export as it was read again
}

TEST_CASE("preferences are learnt over a quantized base, which is its own reference") {
  const std::string quantization = GENERATE("nf4", "int8");
  const TemporaryDirectory directory;
  const fs::path out = check_preference_run(directory, kAdapter, quantization);
  const Outcome said = run({"lora-generate", (quickstart() / "model").string(), "--adapter", (out / "adapter").string(),
                            "--prompt", "Where does Ann live?", "--max-new-tokens", "2"});
  CAPTURE(said.err);
  CHECK(said.exit_code == 0);
}

TEST_CASE("a preference run that goes on from an adapter compares with that adapter, not with the base") {
  const TemporaryDirectory first, second;
  const fs::path start = check_preference_run(first, kAdapter) / "adapter";
  // Dropout would part the policy from its reference.
  check_preference_run(second, "dropout: 0, init_from: " + start.string());
}

TEST_CASE("adapters of several objectives trained in one run are bit for bit those trained alone") {
  const TemporaryDirectory directory;
  const std::string data = (quickstart() / "data").string();
  const std::string pairs = "data: {train: [{path: " + data + "/pairs-validation.jsonl}]}\n";
  write_bytes(directory / "several.yaml", "model: {path: " + (quickstart() / "model").string() +
                                              ", dtype: float32}\nadapter: {" + kAdapter + R"(}
training: {max_steps: 4, batch_size: 2, max_length: 256, learning_rate: 1.0e-3}
adapters:
  - name: dpo
    training: {objective: dpo}
    )" + pairs + R"(
  - name: kto
    training: {objective: kto}
    )" + pairs + R"(
  - name: text
    data: {train: [{path: )" + data + R"(/train.jsonl}]}
output_dir: )" + (directory / "several").string() +
                                              "\n");
  const Outcome outcome = run({"lora-train", (directory / "several.yaml").string()});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  for (const std::string name : {"dpo", "kto", "text"}) {
    const fs::path together = directory / "several" / name, alone = directory / "alone" / name;
    const Outcome single = run({"lora-train", (together / "recipe.yaml").string(), "output_dir=" + alone.string()});
    CAPTURE(name, single.err);
    REQUIRE(single.exit_code == 0);
    CHECK(comparable(together) == comparable(alone));
    CHECK(weights(together, 4) == weights(alone, 4));
  }
}

TEST_CASE("kto on answers that are all marked alike is refused, unless the missing kind has no weight") {
  const bool good = GENERATE(true, false);
  const TemporaryDirectory directory;
  const std::string recipe = preference_recipe(directory, "objective: kto, max_steps: 1");
  std::string rows;
  for (int i = 0; i < 4; ++i) {
    rows += R"({"prompt": "What comes after )" + std::to_string(i) + R"(?", "completion": "x)" + std::to_string(i) +
            R"(", "label": )" + (good ? "true" : "false") + "}\n";
  }
  write_bytes(directory / "rows.jsonl", rows);
  const std::string data = "data.train=[{path: " + (directory / "rows.jsonl").string() + "}]";
  const std::string weight = good ? "undesirable_weight" : "desirable_weight";
  check_refused({"lora-train", recipe, data}, 3,
                {std::string("'label' is ") + (good ? "true" : "false") + " in all 4 samples", weight + ": 0"});
  const Outcome outcome = run({"lora-train", recipe, data, "training.preference." + weight + "=0"});
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 0);
}

TEST_CASE("identical, empty and contradicting pairs are counted by lora-data report, and identical ones left out") {
  const TemporaryDirectory directory;
  const std::string recipe = preference_recipe(directory, "objective: dpo, max_steps: 1");
  write_bytes(directory / "rows.jsonl", R"({"prompt": "Q1?", "chosen": " a", "rejected": " b"}
{"prompt": "Q1?", "chosen": " b", "rejected": " a"}
{"prompt": "Q2?", "chosen": " a", "rejected": " a"}
{"prompt": "Q3?", "chosen": " a", "rejected": " "}
)");
  const Outcome report =
      run({"lora-data", "report", recipe, "--html", (directory / "page.html").string(),
           "data.train=[{path: " + (directory / "rows.jsonl").string() + "}]", "data.validation=null"});
  CAPTURE(report.out, report.err);
  CHECK(report.exit_code == 0);
  for (const char* line : {"identical_answers    drop       1        1", "empty_answers        warn       1        0",
                           "conflicting_answers  warn       1        0"}) {
    CHECK_THAT(report.out, Contains(line));
  }
  CHECK_THAT(report.out, Contains("another preference than"));
}
