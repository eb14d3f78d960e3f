// A run with tokens of its own: what it trains, resumes, exports, and what reads these again.

#include <ATen/ATen.h>

#include "models/io/gguf.h"
#include "models/io/safetensors.h"
#include "tests/app/runs.h"
#include "tests/catch.h"
#include "tests/golden.h"
#include "tests/temporary_directory.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::string answer_of(std::vector<std::string> from) {
  from.insert(from.begin(), "lora-generate");
  from.insert(from.end(), {"--prompt", "What comes after 3?", "--max-new-tokens", "4"});
  const Outcome said = run(from);
  CAPTURE(said.err);
  CHECK(said.exit_code == 0);
  return said.out;
}

std::vector<std::string> arguments(const TemporaryDirectory& directory) {
  std::string rows;
  for (int i = 0; i < 8; ++i) {
    rows += R"({"prompt": "<|ask|>What comes after )" + std::to_string(i) + R"(?", "completion": ")" +
            std::to_string(i + 1) + "<|end|>\"}\n";
  }
  write_bytes(directory / "rows.jsonl", rows);
  return {"lora-train", quickstart_recipe(directory, "export: [peft, huggingface, torchscript, gguf]\n"),
          "model.new_tokens=['<|ask|>', '<|end|>']", "data.allow_special_tokens=true",
          "data.train=[{path: " + (directory / "rows.jsonl").string() + ", format: completion}]"};
}

}  // namespace

TEST_CASE("new tokens are trained, resumed with the same bits, and in every export") {
  const TemporaryDirectory directory;
  const std::vector<std::string> whole = arguments(directory);
  const Outcome outcome = run(whole);
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.exit_code == 0);
  const fs::path out = directory / "run";
  const int64_t rows = read_json(quickstart() / "model/config.json")["vocab_size"].get<int64_t>() + 2;

  CHECK_THAT(outcome.out, Contains("2 of its rows are new"));
  CHECK(read_json(out / "adapter/adapter_config.json")["trainable_token_indices"] == json{rows - 2, rows - 1});
  CHECK(read_json(out / "merged/config.json")["vocab_size"] == rows);
  const SafetensorsFile merged(out / "merged/model.safetensors"), adapter(out / "adapter/adapter_model.safetensors");
  const at::Tensor trained = adapter.tensor("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta");
  CHECK(merged.tensor("model.embed_tokens.weight").narrow(0, rows - 2, 2).equal(trained));
  CHECK_FALSE(trained[0].equal(trained[1]));
  for (const char* place : {"adapter", "merged"}) {
    const json added = read_json(out / place / "tokenizer_config.json")["added_tokens_decoder"];
    CHECK(added[std::to_string(rows - 1)]["content"] == "<|end|>");
  }
  const GgufFile gguf(out / "model.gguf");
  const auto& texts = std::get<std::vector<std::string>>(gguf.value<GgufArray>("tokenizer.ggml.tokens"));
  REQUIRE(texts.size() == static_cast<size_t>(rows));
  CHECK(texts.back() == "<|end|>");

  // Everything answers alike.
  const std::string model = (quickstart() / "model").string(), expected = answer_of({(out / "merged").string()});
  CHECK(answer_of({model, "--adapter", (out / "adapter").string()}) == expected);
  CHECK(answer_of({model, "--adapter", out.string()}) == expected);
  // Beside a run without new tokens, each answers as alone.
  const TemporaryDirectory plain;
  REQUIRE(run({"lora-train", quickstart_recipe(plain)}).exit_code == 0);
  const std::string other = (plain / "run").string();
  const std::vector<std::string> both = {model, "--adapter", "new=" + out.string(), "--adapter", "old=" + other};
  const auto used = [&](const std::string& name) {
    std::vector<std::string> from = both;
    from.insert(from.end(), {"--use", name});
    return answer_of(from);
  };
  CHECK(used("new") == expected);
  CHECK(used("old") == answer_of({model, "--adapter", other}));
  for (const std::string& source : {out.string(), (out / "adapter").string()}) {
    const std::string again = (directory / "again").string();
    const Outcome exported = run({"lora-export", source, "--format", "huggingface", "--output", again, "--overwrite"});
    CAPTURE(exported.err);
    CHECK(exported.exit_code == 0);
    CHECK(SafetensorsFile(directory / "again/model.safetensors")
              .tensor("model.embed_tokens.weight")
              .equal(merged.tensor("model.embed_tokens.weight")));
  }

  const std::string bits = weights(out, 6);
  fs::remove_all(CheckpointStore(out).directory(6));
  std::vector<std::string> resumed = whole;
  resumed.push_back("--resume");
  CHECK(run(resumed).exit_code == 0);
  CHECK(weights(out, 6) == bits);
}

TEST_CASE("every method trains new tokens, and is compared with others that do") {
  for (const char* method :
       {"{method: full}", "{method: adalora, rank: 4, target_modules: [q_proj], adalora: {target_r: 2}}",
        "{method: dora, rank: 4, target_modules: [q_proj]}"}) {
    INFO(method);
    const TemporaryDirectory directory;
    std::vector<std::string> changed = arguments(directory);
    changed.insert(changed.end(), {std::string("adapter=") + method, "export=[]", "training.max_steps=3"});
    const Outcome outcome = run(changed);
    CAPTURE(outcome.err);
    CHECK(outcome.exit_code == 0);
  }
}

TEST_CASE("a run with overlapping patterns exports an adapter that loads, and resumes") {
  const TemporaryDirectory directory;
  const std::vector<std::string> whole = {"lora-train", quickstart_recipe(directory, "export: [peft]\n"),
                                          "adapter.rank_pattern={q_proj: 2, layers.1.self_attn.q_proj: 6}",
                                          "adapter.alpha_pattern={q_proj: 64, layers.1.self_attn.q_proj: 4}"};
  const Outcome outcome = run(whole);
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  const std::string bits = weights(directory / "run", 6);
  fs::remove_all(CheckpointStore(directory / "run").directory(6));
  std::vector<std::string> resumed = whole;
  resumed.push_back("--resume");
  CHECK(run(resumed).exit_code == 0);
  CHECK(weights(directory / "run", 6) == bits);
}

TEST_CASE("an option of an adapter that is not known stops until a person says that it changes nothing") {
  const TemporaryDirectory directory;
  REQUIRE(run({"lora-train", quickstart_recipe(directory, "export: [peft]\n"), "training.max_steps=1"}).exit_code == 0);
  const fs::path file = directory / "run/adapter/adapter_config.json";
  json config = read_json(file);
  config["dial"] = 3;
  config["target_modules"].push_back("w1");
  write_bytes(file, config.dump());
  std::vector<std::string> arguments = {"lora-generate",    (quickstart() / "model").string(),
                                        "--adapter",        (directory / "run/adapter").string(),
                                        "--prompt",         "1",
                                        "--max-new-tokens", "1"};
  check_refused(arguments, 4, {"option 'dial' is 3", "--ignore-option dial"});
  arguments.insert(arguments.end(), {"--ignore-option", "dial"});
  const Outcome said = run(arguments);
  CHECK(said.exit_code == 0);
  CHECK_THAT(said.err, Contains("match nothing in the model and are passed over: 'target_modules: w1'"));
}
