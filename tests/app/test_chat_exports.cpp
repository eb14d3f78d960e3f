// A run on conversations: what its checkpoint and exports carry of them, and what reads these again.

#include "lora/data/chat_template.h"
#include "models/io/gguf.h"
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

std::string chat_rows(int count) {
  std::string rows;
  for (int i = 0; i < count; ++i) {
    rows += R"({"messages": [{"role": "user", "content": "What comes after )" + std::to_string(i) +
            R"(?"}, {"role": "assistant", "content": ")" + std::to_string(i + 1) + "\"}]}\n";
  }
  return rows;
}

std::vector<std::string> chat_run(const TemporaryDirectory& directory, const std::string& exports) {
  write_bytes(directory / "rows.jsonl", chat_rows(8));
  return {"lora-train", quickstart_recipe(directory, "export: " + exports + "\n"),
          "data.train=[{path: " + (directory / "rows.jsonl").string() + ", format: auto}]", "data.template=alpaca"};
}

std::string alpaca() {
  for (const BuiltinTemplate& one : builtin_templates()) {
    if (one.name == "alpaca") return one.source;
  }
  return "";
}

// The quickstart's model with one id more than it has rows: a padding token.
std::string padded_model(const TemporaryDirectory& directory) {
  fs::copy(quickstart() / "model", directory / "model");
  const json config = read_json(quickstart() / "model/config.json");
  write_bytes(directory / "model/added_tokens.json", json{{"<pad>", config["vocab_size"]}}.dump());
  write_bytes(directory / "model/special_tokens_map.json", R"({"pad_token": "<pad>"})");
  return (directory / "model").string();
}

}  // namespace

TEST_CASE("a run on chats puts the template trained with into its checkpoint and every export") {
  const TemporaryDirectory directory;
  const Outcome outcome = run(chat_run(directory, "[peft, huggingface, gguf]"));
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.exit_code == 0);
  const fs::path out = directory / "run";
  CHECK_THAT(unfolded(outcome.out), Contains("answers end with '</s>', chat template alpaca"));
  for (const char* place : {"adapter", "merged", "checkpoints/step-000006"}) {
    CHECK(read_bytes(out / place / "chat_template.jinja") == alpaca());
  }
  CHECK(fs::exists(out / "adapter/tokenizer.model"));
  CHECK_FALSE(fs::exists(out / "merged/generation_config.json"));  // config.json has that end
  CHECK(GgufFile(out / "model.gguf").value<std::string>("tokenizer.chat_template") == alpaca());

  const std::string model = (quickstart() / "model").string();
  for (const std::string& source : {out.string(), (out / "adapter").string()}) {
    const std::string again = (directory / "again").string();
    const Outcome exported = run({"lora-export", source, "--format", "huggingface", "--output", again, "--overwrite"});
    CAPTURE(exported.err);
    CHECK(exported.exit_code == 0);
    CHECK(read_bytes(directory / "again/chat_template.jinja") == alpaca());
    const Outcome said =
        run({"lora-generate", model, "--adapter", source, "--chat", "--prompt", "hi", "--max-new-tokens", "1"});
    CHECK_THAT(said.err, Contains(source == out.string() ? "chat template: alpaca\n" : "adapter/chat_template.jinja"));
  }
}

TEST_CASE("a run without chats leaves templates as the model has them") {
  const TemporaryDirectory directory;
  const Outcome outcome = run({"lora-train", quickstart_recipe(directory, "export: [peft, huggingface]\n")});
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  for (const char* place : {"adapter", "merged", "checkpoints/step-000006"}) {
    CHECK_FALSE(fs::exists(directory / "run" / place / "chat_template.jinja"));
  }
  CHECK_FALSE(fs::exists(directory / "run/adapter/tokenizer.model"));
  CHECK_FALSE(fs::exists(directory / "run/merged/generation_config.json"));
}

TEST_CASE("a run says which special tokens its rows spell out, and which of the template's names are text") {
  const TemporaryDirectory directory;
  write_bytes(directory / "rows.jsonl", counting_rows(3) + R"({"prompt": "a", "completion": "b</s>"})" + "\n");
  const std::string recipe = quickstart_recipe(directory);
  const std::string train = "data.train=[{path: " + (directory / "rows.jsonl").string() + ", format: completion}]";
  const Outcome outcome = run({"lora-train", recipe, "--dry-run", train, "data.template=chatml"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(
      outcome.out,
      Contains("Spelled out " + (directory / "rows.jsonl").string() + ": '</s>' (in 1 of 4 rows): special tokens") &&
          Contains("data.allow_special_tokens: true") &&
          Contains("Template    chatml; its '<|im_start|>', '<|im_end|>' are not tokens of this tokenizer"));
  CHECK_THAT(outcome.out, Contains("BOS         '<s>' is put before each text"));
  const Outcome allowed = run({"lora-train", recipe, "--dry-run", train, "data.allow_special_tokens=true"});
  CHECK(allowed.exit_code == 0);
  CHECK_THAT(allowed.out, !Contains("Spelled out"));
}

TEST_CASE("a prompt that spells special tokens out is said, and read as tokens where that is asked for") {
  const std::string model = (quickstart() / "model").string();
  const auto ask = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"lora-generate", model, "--stats", "--max-new-tokens", "1"});
    return run(more);
  };
  const Outcome text = ask({"--prompt", "</s>"});
  CHECK(text.exit_code == 0);
  CHECK_THAT(text.err, Contains("the prompt has names of special tokens, which are text there: '</s>'") &&
                           Contains("--allow-special-tokens") && !Contains("2 tokens read"));
  const Outcome token = ask({"--prompt", "</s>", "--allow-special-tokens"});
  CHECK_THAT(token.err, !Contains("special tokens") && Contains("2 tokens read"));
  CHECK_THAT(ask({"--prompt", "<s>a"}).err, !Contains("special tokens"));  // the BOS that is added
  CHECK(ask({"--prompt", "a", "--chat", "--allow-special-tokens"}).exit_code == 2);

  const TemporaryDirectory directory;
  write_bytes(directory / "prompts.jsonl", "{\"prompt\": \"a</s>\"}\n{\"prompt\": \"b\"}\n");
  CHECK_THAT(ask({"--prompts", (directory / "prompts.jsonl").string()}).err,
             Contains("1 of 2 prompts have names of special tokens"));
}

TEST_CASE("a tokenizer with an id more than the model has rows trains, unless a sample uses it") {
  const TemporaryDirectory directory;
  const std::string model = padded_model(directory);
  const std::string recipe = quickstart_recipe(directory, "export: [peft, huggingface, gguf]\n");
  const std::string path = "model.path=" + model;
  const Outcome plain = run({"lora-train", recipe, path});
  CAPTURE(plain.err);
  CHECK(plain.exit_code == 0);

  write_bytes(directory / "rows.jsonl", counting_rows(3) + R"({"prompt": "a", "completion": "b<pad>"})" + "\n");
  const std::string rows = (directory / "rows.jsonl").string();
  const std::string data = "=[{path: " + rows + ", format: completion}]", allow = "data.allow_special_tokens=true";
  const std::vector<std::string> parts = {rows + ": a sample uses '<pad>', id 1024, for which the model has no row",
                                          "'vocab_size' is 1024"};
  check_refused({"lora-train", recipe, path, allow, "--dry-run", "data.train" + data}, 4, parts);
  check_refused({"lora-train", recipe, path, allow, "--dry-run", "data.validation" + data}, 4, parts);
  check_refused({"lora-train", recipe, path, allow, "--dry-run", "data.streaming=true", "data.train" + data}, 4, parts);
  CHECK(run({"lora-train", recipe, path, "--dry-run", "data.train" + data}).exit_code == 0);  // the name is text
  check_refused({"lora-generate", model, "--prompt", "<pad>", "--allow-special-tokens"}, 4,
                {"a prompt has the token 1024, and the model has 1024 rows"});
}

TEST_CASE("a later window of a stream is checked for tokens without a row as well") {
  const TemporaryDirectory directory;
  const std::string path = "model.path=" + padded_model(directory);
  write_bytes(directory / "rows.jsonl", counting_rows(8) + R"({"prompt": "a", "completion": "b<pad>"})" + "\n");
  const std::string train = "data.train=[{path: " + (directory / "rows.jsonl").string() + ", format: completion}]";
  const Outcome outcome = run({"lora-train", quickstart_recipe(directory), path, train,
                               "data.allow_special_tokens=true", "data.streaming=true", "data.shuffle_buffer=4"});
  CAPTURE(outcome.out);
  CHECK(outcome.exit_code == 4);
  CHECK_THAT(outcome.err, Contains("a sample uses '<pad>'"));
}
