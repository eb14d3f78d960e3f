// What a person meets at the start: defaults, paths, a validation split, prepared data, lines about what does not fit,
// and refusals that leave nothing behind.

#include "models/io/safetensors.h"
#include "tests/app/runs.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::string base_model() { return (quickstart() / "model").string(); }

// The smallest recipe, beside its data.
std::string smallest_recipe(const TemporaryDirectory& directory) {
  write_bytes(directory / "rows.jsonl", counting_rows(12));
  write_bytes(directory / "recipe.yaml", "model: {path: " + base_model() +
                                             "}\ndata: {train: [{path: rows.jsonl}]}\ntraining: {max_steps: 2, "
                                             "batch_size: 2, max_length: 64}\noutput_dir: " +
                                             (directory / "run").string() + "\n");
  return (directory / "recipe.yaml").string();
}

}  // namespace

TEST_CASE("the smallest recipe adapts every projection, finds its data beside itself and leaves an adapter") {
  const TemporaryDirectory directory;
  const Outcome outcome = run({"lora-train", smallest_recipe(directory)});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  const json config = read_json(directory / "run/adapter/adapter_config.json");
  CHECK(config.at("target_modules").size() == 7);
  CHECK_THAT(read_bytes(directory / "run/recipe.yaml"), Contains("path: " + (directory / "rows.jsonl").string()));
  CHECK_THAT(unfolded(outcome.out),
             Contains("differ by 0 at most, 0 on average from the trained model's: the same numbers"));
}

TEST_CASE("a run that is refused leaves no directory behind") {
  const TemporaryDirectory directory;
  const std::string recipe = smallest_recipe(directory);
  const std::string output = "output_dir=" + (directory / "runs/deep/a").string();
  write_bytes(directory / "rows.jsonl", "{\"text\": 5.}\n");
  check_refused({"lora-train", recipe, output}, 3, {"rows.jsonl:1"});
  CHECK_FALSE(fs::exists(directory / "runs"));
  write_bytes(directory / "rows.jsonl", counting_rows(12));
  check_refused({"lora-train", recipe, output, "adapter.rank=500"}, 2, {"rank 500"});
  CHECK_FALSE(fs::exists(directory / "runs"));

  write_bytes(directory / "both.yaml", "model: {path: " + base_model() +
                                           "}\nadapters:\n  - {name: fr, data: {train: [{path: rows.jsonl}]}}\n  - "
                                           "{name: de, adapter: {rank: 500}, data: {train: [{path: rows.jsonl}]}}\n"
                                           "training: {max_steps: 2, max_length: 64}\noutput_dir: " +
                                           (directory / "runs/both").string() + "\n");
  check_refused({"lora-train", (directory / "both.yaml").string()}, 2, {"rank 500"});
  CHECK_FALSE(fs::exists(directory / "runs"));
}

TEST_CASE("paths that lead nowhere are all in one answer, before anything is read") {
  const TemporaryDirectory directory;
  const std::string recipe = smallest_recipe(directory);
  fs::remove(directory / "rows.jsonl");
  const std::vector<std::string> missing = {"[data] " + recipe + ":2:23: rows.jsonl: no such file; looked for " +
                                            (fs::current_path() / "rows.jsonl").string() + " and " +
                                            (directory / "rows.jsonl").string() + " (data.train.0.path)"};
  check_refused({"lora-train", recipe}, 3, missing);
  check_refused({"lora-data", "report", recipe}, 3, missing);
  const Outcome both = run({"lora-train", recipe, "model.path=TinyLlama/TinyLlama-1.1B"});
  CHECK(both.exit_code == 3);  // of the first, by line; overrides follow
  CHECK_THAT(both.err, Contains("hf download TinyLlama/TinyLlama-1.1B --local-dir DIR") && Contains(missing[0]));
  write_bytes(directory / "rows.jsonl", counting_rows(12));
  // The model of a recipe to start from, which no hub has by the name of its folder.
  check_refused(
      {"lora-train", recipe, "model.path=models/Qwen3-4B"}, 4,
      {"; nothing is downloaded here: run hf download Qwen/Qwen3-4B --local-dir models/Qwen3-4B; looked for "});
  CHECK_THAT(run({"lora-train", recipe, "model.path=models/mine"}).err, !Contains("hf download"));
  write_bytes(directory / "model.gguf", std::string("GGUF\x03\0\0\0", 8));
  check_refused({"lora-train", recipe, "model.path=" + (directory / "model.gguf").string()}, 4,
                {"is a GGUF file of llama.cpp; expected the directory of a model"});
  fs::create_directory(directory / "gpt2");
  write_bytes(directory / "gpt2/config.json", R"({"model_type": "gpt2"})");
  check_refused({"lora-train", recipe, "model.path=" + (directory / "gpt2").string()}, 4,
                {"'model_type' is 'gpt2'; supported are llama, "});
}

TEST_CASE("data of which nothing is left to train on is named by its file") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  write_bytes(directory / "long.jsonl", "{\"prompt\": \"" + std::string(400, 'x') + "\", \"completion\": \"y\"}\n");
  const std::string rows = "[{path: " + (directory / "long.jsonl").string() + "}]";
  check_refused({"lora-train", recipe, "data.validation=" + rows, "--dry-run"}, 3,
                {"long.jsonl: no token is left to train on in 1 row: the prompts of 1 alone fill max_length 256"});
}

TEST_CASE("a file of another kind in place of data or weights is named by what it is") {
  const TemporaryDirectory directory;
  const std::string recipe = smallest_recipe(directory);
  write_bytes(directory / "rows.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n");
  check_refused({"lora-train", recipe}, 3, {"rows.jsonl: is a Git LFS pointer", "run git lfs pull"});
  write_bytes(directory / "rows.jsonl", "PK\x03\x04");
  check_refused({"lora-train", recipe}, 3, {"rows.jsonl: is a zip file", ".xlsx"});
  write_bytes(directory / "rows.jsonl", counting_rows(12));
  fs::copy(base_model(), directory / "model");
  for (const auto& [bytes, kind] : std::vector<std::pair<std::string, std::string>>{
           {"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n", "is a Git LFS pointer"},
           {"PK\x03\x04 and so on", "is a zip file"},
           {"<!DOCTYPE html><html><head>", "is an HTML page"}}) {
    write_bytes(directory / "model/model.safetensors", bytes);
    check_refused({"lora-train", recipe, "model.path=" + (directory / "model").string()}, 4,
                  {"model.safetensors: " + kind, "expected a safetensors file"});
  }
}

// As earlier versions did, which wrote the default where now the file of init_from decides.
TEST_CASE("a run resumes where its recipe means the same modules by other patterns, and not where it means others") {
  const TemporaryDirectory first, second;
  const std::string all = "adapter.target_modules=all-linear", steps = "training.max_steps=2";
  REQUIRE(run({"lora-train", quickstart_recipe(first), all, steps}).exit_code == 0);
  const std::string from = "adapter={init_from: " + (first / "run/adapter").string() + "}";
  const std::string recipe = quickstart_recipe(second);
  REQUIRE(run({"lora-train", recipe, from, all, "training.max_steps=4"}).exit_code == 0);
  const std::string whole = weights(second / "run", 4);
  fs::remove_all(CheckpointStore(second / "run").directory(4));
  const Outcome resumed = run({"lora-train", recipe, from, "training.max_steps=4", "--resume"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK(weights(second / "run", 4) == whole);
  check_refused({"lora-train", quickstart_recipe(first), "adapter.target_modules=[q_proj]", steps, "--resume"}, 2,
                {"other values of: adapter.target_modules"});
}

TEST_CASE("a validation split is said, evaluated, and the same rows after a stop") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory);
  const std::vector<std::string> split = {"data.validation=null", "data.validation_split=0.05"};
  const Outcome whole = run({"lora-train", recipe, split[0], split[1]});
  CAPTURE(whole.out, whole.err);
  REQUIRE(whole.exit_code == 0);
  CHECK_THAT(whole.out, Contains("Split       47 of 936 rows of data.train are held out for validation "
                                 "(validation_split 0.05, drawn by seed 42)"));
  CHECK(std::ranges::count_if(metrics(directory / "run"), [](const json& row) { return row.contains("eval_loss"); }) ==
        2);
  const Outcome other_seed = run({"lora-train", recipe, split[0], split[1], "training.seed=3", "--dry-run"});
  CHECK_THAT(other_seed.out, Contains("drawn by seed 3"));

  // As if it had been killed after step 4.
  const auto rows = comparable(directory / "run");
  fs::remove_all(CheckpointStore(directory / "run").directory(6));
  const Outcome resumed = run({"lora-train", recipe, split[0], split[1], "--resume"});
  CAPTURE(resumed.out, resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK(comparable(directory / "run") == rows);
  check_refused({"lora-train", recipe, split[0], "data.validation_split=0.1", "--resume"}, 2,
                {"other values of: data.validation_split"});
}

TEST_CASE("a run says in a line each what of its recipe has no effect or does not fit") {
  const TemporaryDirectory directory;
  const std::string recipe = smallest_recipe(directory);
  const Outcome outcome = run({"lora-train", recipe, "training.batch_size=100", "training.max_length=300",
                               "training.eval_every=1", "training.checkpoint_every=1"});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.err,
             Contains("training.max_length 300 is more than the 256 positions that the model was made for; "
                      "no sample is longer than those"));
  CHECK_THAT(outcome.err, Contains("training.batch_size 100 is more than the 1 row of an epoch (several samples are "
                                   "packed into one): a step takes 1"));
  CHECK_THAT(outcome.err, Contains("training.eval_every 1 has no effect without data.validation"));
  CHECK_THAT(outcome.err, !Contains("learning rate"));

  const Outcome longer = run(
      {"lora-train", recipe, "training.batch_size=100", "training.max_length=300", "training.max_steps=4", "--resume"});
  CAPTURE(longer.err);
  REQUIRE(longer.exit_code == 0);
  // Cosine over 2 steps is at 0 after them, over 4 at a half.
  CHECK_THAT(longer.err, Contains("step 3 has a learning rate of 1.00e-04, where the run so far had come to 0.00e+00"));
}

TEST_CASE("a run that fits says none of these lines") {
  const TemporaryDirectory directory;
  const Outcome outcome = run({"lora-train", quickstart_recipe(directory), "--dry-run"});
  CAPTURE(outcome.err);
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.err, !Contains("training."));
}

TEST_CASE("training on prepared data is training on its rows") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory), prepared = (directory / "prepared").string();
  REQUIRE(run({"lora-train", recipe}).exit_code == 0);
  REQUIRE(run({"lora-data", "prepare", recipe, "--output", prepared}).exit_code == 0);
  const std::string of_both = "data={train: [{path: " + prepared + "}], validation: [{path: " + prepared + "}]}";
  const std::string output = "output_dir=" + (directory / "again").string();
  const Outcome again = run({"lora-train", recipe, of_both, output});
  CAPTURE(again.out, again.err);
  REQUIRE(again.exit_code == 0);
  CHECK(comparable(directory / "again") == comparable(directory / "run"));
  CHECK(weights(directory / "again", 6) == weights(directory / "run", 6));
  CHECK(run({"lora-train", recipe, of_both, output, "training.max_steps=7", "--resume"}).exit_code == 0);

  const std::string of_train = "data={train: [{path: " + prepared + "}]}";
  CHECK_THAT(run({"lora-train", recipe, of_train, "training.eval_every=0", "--dry-run"}).err,
             Contains("validation.safetensors is not read"));
  check_refused({"lora-train", recipe, of_train, "training.max_length=10", "training.eval_every=0", "--dry-run"}, 3,
                {"more than training.max_length 10"});
  check_refused({"lora-train", recipe, of_train, "data.train.0.format=text", "--dry-run"}, 3,
                {"is prepared data, which is tokens with their masks"});
  check_refused({"lora-train", recipe, of_train, "data.validation_split=0.1", "--dry-run"}, 3,
                {"has no rows to split off"});
  check_refused({"lora-train", recipe, "data.train=[{path: " + prepared + "}, {path: " + prepared + "}]", "--dry-run"},
                3, {"has to be the only source of data.train"});
  check_refused(
      {"lora-train", recipe, of_both, "evaluation.exact_match=2", "output_dir=" + (directory / "third").string()}, 3,
      {"has no questions to answer"});
  check_refused({"lora-train", recipe, of_train, "model.new_tokens=['<new>']", "--dry-run"}, 3,
                {"was prepared with another tokenizer"});
  check_refused({"lora-data", "preview", recipe, of_train}, 3, {"is prepared data, whose rows are not known"});
  write_bytes(directory / "prepared/train.safetensors", "{}");
  check_refused({"lora-train", recipe, of_train, "--dry-run"}, 3, {"is not the file of its manifest.json"});
  write_bytes(directory / "prepared/manifest.json", "{}");
  check_refused({"lora-train", recipe, of_train, "--dry-run"}, 3, {"is not what lora-data prepare writes"});
}

TEST_CASE("prepared conversations keep their chat template, for the exports of a run on them") {
  const TemporaryDirectory directory;
  write_bytes(directory / "rows.jsonl",
              "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": "
              "\"Yes\"}]}\n");
  const std::string mine =
      "{% for message in messages %}{{ message.role }}: {{ message.content }}</s>{% endfor %}"
      "{% if add_generation_prompt %}assistant: {% endif %}";
  write_bytes(directory / "mine.jinja", mine);
  const std::string prepared = (directory / "prepared").string();
  const std::string recipe = smallest_recipe(directory);
  write_bytes(directory / "rows.jsonl",
              "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": "
              "\"Yes\"}]}\n");
  REQUIRE(run({"lora-data", "prepare", recipe, "--output", prepared,
               "data.template=" + (directory / "mine.jinja").string()})
              .exit_code == 0);
  CHECK(read_bytes(directory / "prepared/chat_template.jinja") == mine);
  const std::string of_train = "data={train: [{path: " + prepared + "}]}";
  const Outcome outcome = run({"lora-train", recipe, of_train, "export=[peft, huggingface]"});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK(read_bytes(directory / "run/adapter/chat_template.jinja") == mine);
  CHECK(read_bytes(directory / "run/merged/chat_template.jinja") == mine);
  write_bytes(directory / "prepared/chat_template.jinja", mine + " ");
  check_refused({"lora-train", recipe, of_train, "--dry-run"}, 3, {"chat_template.jinja: is not the file of"});
  fs::remove(directory / "prepared/chat_template.jinja");
  check_refused({"lora-train", recipe, of_train, "--dry-run"}, 3, {"chat_template.jinja: is not the file of"});
}

TEST_CASE("a number of validation rows is that number") {
  const TemporaryDirectory directory;
  const Outcome outcome = run({"lora-train", smallest_recipe(directory), "data.validation_split=5", "--dry-run",
                               "data.cleaning.contamination=off"});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("Validation  5 samples"));
  check_refused({"lora-train", smallest_recipe(directory), "data.validation_split=12", "--dry-run"}, 3,
                {"12 rows of the 12 that data.train has"});
}

TEST_CASE("an adapter continues with its own rank, alpha and modules where the recipe says none") {
  const TemporaryDirectory directory;
  const std::string recipe = smallest_recipe(directory);
  REQUIRE(run({"lora-train", recipe, "adapter={rank: 2, alpha: 6, target_modules: [q_proj]}"}).exit_code == 0);
  const std::string from = "init_from: " + (directory / "run/adapter").string();
  const std::string second = "output_dir=" + (directory / "second").string();
  const Outcome outcome = run({"lora-train", recipe, "adapter={" + from + "}", second});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  const json config = read_json(directory / "second/adapter/adapter_config.json");
  CHECK(config.at("r") == 2);
  CHECK(config.at("lora_alpha") == 6);
  CHECK(config.at("target_modules") == json::array({"q_proj"}));
  CHECK(run({"lora-train", recipe, "adapter={" + from + "}", second, "--resume"}).exit_code == 0);
  // What the recipe says has to be the file's.
  check_refused(
      {"lora-train", recipe, "adapter={alpha: 5, " + from + "}", "output_dir=" + (directory / "third").string()}, 4,
      {"alpha of", "the recipe has 5"});
}

TEST_CASE("a key that has no effect is named where a run starts") {
  const TemporaryDirectory directory;
  const Outcome outcome = run({"lora-train", smallest_recipe(directory), "training.lr_schedule=constant",
                               "training.min_lr_ratio=0.1", "--dry-run"});
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.err, Contains("training.min_lr_ratio has no effect: lr_schedule constant does not fall"));
}

TEST_CASE("a recipe in the place of a model is named, with the run that it writes") {
  const TemporaryDirectory directory;
  const std::string recipe = smallest_recipe(directory);
  const std::string message = recipe +
                              ": is a recipe; expected a directory: of a model, of an adapter or of a run, such "
                              "as this recipe's output_dir " +
                              (directory / "run").string();
  check_refused({"lora-generate", recipe, "--prompt", "a"}, 2, {message});
  check_refused({"lora-export", recipe, "--format", "peft", "--output", (directory / "out").string()}, 2, {message});
}

TEST_CASE("the data of the quickstart's own model is made by a script, which the message names") {
  if (fs::exists(source_dir() / "runs/quickstart-assets")) return;
  check_refused({"lora-train", (source_dir() / "recipes/quickstart-pretrain.yaml").string()}, 4,
                {"corpus.jsonl: no such file; scripts/make_quickstart runs/quickstart-assets makes it"}, 3);
}

TEST_CASE("lora-inspect names an adapter of mlx-lm") {
  const TemporaryDirectory directory;
  write_bytes(directory / "adapter_config.json", R"({"fine_tune_type": "lora", "lora_parameters": {"rank": 8}})");
  write_bytes(directory / "adapters.safetensors", "x");
  check_refused({"lora-inspect", directory.path().string()}, 4, {"is an adapter of mlx-lm"});
  check_refused({"lora-inspect", (directory / "adapters.safetensors").string()}, 4, {"is an adapter of mlx-lm"});
  fs::remove(directory / "adapter_config.json");
  check_refused({"lora-inspect", directory.path().string()}, 4, {"is an adapter of mlx-lm"});
}

TEST_CASE("lora-generate takes a run or an adapter and finds its base") {
  const TemporaryDirectory directory;
  const std::string recipe = quickstart_recipe(directory), out = (directory / "run").string();
  REQUIRE(run({"lora-train", recipe, "export=[peft]"}).exit_code == 0);
  const std::vector<std::string> rest = {"--prompt", "Question: Where does Ada live?\nAnswer:", "--max-new-tokens",
                                         "8"};
  const auto generate = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "lora-generate");
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    const Outcome outcome = run(arguments);
    CAPTURE(outcome.err);
    CHECK(outcome.exit_code == 0);
    return outcome.out;
  };
  const std::string expected = generate({base_model(), "--adapter", out});
  CHECK(generate({out}) == expected);
  CHECK(generate({out + "/adapter"}) == expected);
  CHECK(generate({CheckpointStore(out).directory(6).string()}) == expected);

  const std::string whole = "output_dir=" + (directory / "full").string();
  REQUIRE(run({"lora-train", recipe, "adapter={method: full}", whole}).exit_code == 0);
  CHECK(generate({(directory / "full").string()}) == generate({(directory / "full/merged").string()}));
  check_refused({"lora-generate", recipe, "--prompt", "x"}, 2, {"recipe.yaml: is a recipe; expected a directory"});
  check_refused({"lora-generate", (directory / "nowhere/at/all").string(), "--prompt", "x"}, 4, {"no such directory"});
}

TEST_CASE("lora-export takes the directory of a plain model") {
  const TemporaryDirectory directory;
  const std::string merged = (directory / "merged").string();
  const Outcome outcome = run({"lora-export", base_model(), "--format", "huggingface", "--output", merged});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.out, Contains("model " + base_model() + " -> ") && !Contains("adapters merged") &&
                              Contains(" from the trained model's: the same numbers\n"));
  const SafetensorsFile before(base_model() + "/model.safetensors"), after(merged + "/model.safetensors");
  REQUIRE(after.entries().size() == before.entries().size());
  for (const auto& [name, entry] : before.entries()) CHECK(after.tensor(name).equal(before.tensor(name)));
  CHECK(run({"lora-export", base_model(), "--format", "gguf-q8_0", "--output", (directory / "a.gguf").string()})
            .exit_code == 0);
  check_refused({"lora-export", base_model(), "--format", "peft", "--output", (directory / "p").string()}, 2,
                {"is not a run or an adapter"});
  check_refused({"lora-export", base_model(), "--format", "gguf", "--model", base_model(), "--output", merged + "2"}, 2,
                {"--model: the base of an adapter"});
}

TEST_CASE("a classifier's run is not asked for text, and recipes/classification.yaml runs from a clone") {
  const TemporaryDirectory directory;
  const std::string out = (directory / "run").string();
  const Outcome outcome = run({"lora-train", "recipes/classification.yaml", "output_dir=" + out});
  CAPTURE(outcome.out, outcome.err);
  REQUIRE(outcome.exit_code == 0);
  double accuracy = 0;
  for (const json& row : metrics(out)) accuracy = row.value("eval_accuracy", accuracy);
  CHECK(accuracy > 0.9);
  CHECK_THAT(run({"lora-classify", out, "The door of Fritz is golden."}).out, Contains("door\t"));
  for (const std::string& source : {out, out + "/adapter"}) {
    check_refused({"lora-generate", source, "--prompt", "x"}, 4,
                  {"was trained as a classifier, which writes no text; lora-classify "});
  }
}
