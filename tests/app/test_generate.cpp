// lora-generate from outside: answers, chats, adapters by name, and adapters that do not fit the model.

#include "tests/app/runs.h"

using namespace lora;
using namespace lora::test;
using Catch::Matchers::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("lora-generate answers with and without an adapter, the same each time") {
  const TemporaryDirectory directory;
  REQUIRE(run({"lora-train", quickstart_recipe(directory, "export: [peft]\n")}).exit_code == 0);
  const std::string model = (quickstart() / "model").string();
  const std::vector<std::string> plain = {"lora-generate", model, "--prompt", "One day", "--max-new-tokens", "12"};
  const Outcome first = run(plain);
  CHECK(first.exit_code == 0);
  CHECK(first.out.size() > 4);
  CHECK(run(plain).out == first.out);
  std::vector<std::string> adapted = plain;
  adapted.insert(adapted.end(), {"--adapter", (directory / "run/adapter").string()});
  CHECK(run(adapted).exit_code == 0);
  check_refused({"lora-generate", "/no/such/model", "--prompt", "x"}, 4, {"/no/such/model"});
}

TEST_CASE("lora-generate chats by the template that the adapter's run was trained with, unless told another") {
  const TemporaryDirectory directory;
  write_bytes(directory / "chat.jsonl",
              R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})"
              "\n");
  write_bytes(
      directory / "recipe.yaml",
      "model: {path: " + (quickstart() / "model").string() + "}\nadapter: {rank: 2, target_modules: [q_proj]}\n" +
          "data: {train: [{path: " + (directory / "chat.jsonl").string() +
          ", format: chat}], template: zephyr}\ntraining: {max_steps: 1}\noutput_dir: " + (directory / "run").string() +
          "\n");
  REQUIRE(run({"lora-train", (directory / "recipe.yaml").string()}).exit_code == 0);
  const std::vector<std::string> chat = {"lora-generate",
                                         (quickstart() / "model").string(),
                                         "--adapter",
                                         (directory / "run").string(),
                                         "--chat",
                                         "--prompt",
                                         "x",
                                         "--max-new-tokens",
                                         "1"};
  CHECK_THAT(run(chat).err, Contains("chat template: zephyr"));
  std::vector<std::string> told = chat;
  told.insert(told.end(), {"--template", "plain"});
  CHECK_THAT(run(told).err, Contains("chat template: plain"));
}

TEST_CASE("lora-generate chats by a template, remembers what was said and says how fast it was") {
  const std::string model = (quickstart() / "model").string();
  const std::vector<std::string> chat = {"lora-generate", model,      "--chat", "--max-new-tokens", "6",
                                         "--system",      "Be brief."};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), chat.begin(), chat.end());
    return more;
  };
  const Outcome one = run(with({"--prompt", "Where is Johan?"}));
  CHECK(one.exit_code == 0);
  CHECK_THAT(one.err, Contains("chat template: plain: the model has none of its own") && Contains("tokens read at") &&
                          Contains("written"));
  const Outcome other = run(with({"--prompt", "Where is Johan?", "--template", "{{ messages[1].content }}"}));
  CHECK_THAT(other.err, Contains("chat template: the recipe's"));
  const std::string lines = "Where is Johan?\nAnd Jasper?\n/reset\nWhere is Johan?\n/adapter none\n/nothing\n/quit\n";
  const Outcome several = run(with({"--interactive"}), lines);
  CHECK(several.exit_code == 0);
  CHECK_THAT(several.err, Contains("commands are /adapter NAME (or /use), /adapters, /reset, /quit"));
  const size_t first = several.out.find('\n');
  CHECK(several.out.substr(0, first + 1) == one.out);
  CHECK(several.out.ends_with("\n" + one.out));  // forgotten
  // A second turn reads what is new, not the first one again; with another adapter everything.
  const Outcome two = run(with({"--interactive"}), "Where is Johan?\nWhere is Johan?\n/quit\n");
  const auto read = [](const std::string& text, size_t from) {
    return std::stoi(text.substr(text.find('\n', from) + 1));
  };
  CHECK(read(two.err, two.err.find("tokens read")) < read(two.err, 0));
  const Outcome unmet = run({"lora-generate", model, "--prompt", "x", "--system", "y"});
  CHECK(unmet.exit_code == 2);
  CHECK_THAT(unmet.err, Contains("--system requires --chat"));
  check_refused(with({"--prompt", "x", "--template", "model"}), 4, {"no chat template of its own"});
}

TEST_CASE("lora-generate loads several adapters by name and answers each prompt with the one it names") {
  const TemporaryDirectory one, two;
  REQUIRE(run({"lora-train", quickstart_recipe(one, "export: [peft]\n"), "training.learning_rate=0.05"}).exit_code ==
          0);
  REQUIRE(run({"lora-train", quickstart_recipe(two, "export: [peft]\n"), "training.learning_rate=0.05",
               "adapter.target_modules=all-linear", "adapter.modules_to_save=[norm]"})
              .exit_code == 0);
  const std::string model = (quickstart() / "model").string(), prompt = "Anna keeps";
  const auto alone = [&](const std::vector<std::string>& adapter) {
    std::vector<std::string> arguments = {"lora-generate", model, "--prompt", prompt, "--max-new-tokens", "8"};
    arguments.insert(arguments.end(), adapter.begin(), adapter.end());
    const Outcome outcome = run(arguments);
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    return outcome.out;
  };
  const std::string base = alone({}), a = alone({"--adapter", (one / "run/adapter").string()}),
                    b = alone({"--adapter", (two / "run").string()});  // from its checkpoint
  CHECK(a != base);
  CHECK(b != base);
  CHECK(a != b);
  const std::string named_a = "a=" + (one / "run/adapter").string(), named_b = "b=" + (two / "run/adapter").string();
  const std::vector<std::string> both = {"--adapter", named_a, "--adapter", named_b};
  const auto using_name = [&](const std::string& name) {
    std::vector<std::string> arguments = both;
    arguments.insert(arguments.end(), {"--use", name});
    return alone(arguments);
  };
  CHECK(using_name("a") == a);
  CHECK(using_name("b") == b);
  CHECK(using_name("none") == base);

  write_bytes(one / "prompts.jsonl", R"({"prompt": "Anna keeps", "adapter": "b"}
{"prompt": "Anna keeps", "adapter": "none"}
{"prompt": "Anna keeps", "adapter": "a"}
{"prompt": "Anna keeps", "adapter": "b"}
)");
  const Outcome rows = run({"lora-generate", model, "--adapter", named_a, "--adapter", named_b, "--prompts",
                            (one / "prompts.jsonl").string(), "--max-new-tokens", "8"});
  CAPTURE(rows.err);
  REQUIRE(rows.exit_code == 0);
  std::istringstream lines(rows.out);
  std::vector<std::string> answers;
  for (std::string line; std::getline(lines, line);)
    answers.push_back(json::parse(line)["answer"].get<std::string>() + "\n");
  CHECK(answers == std::vector<std::string>{b, base, a, b});

  const Outcome talk = run(
      {"lora-generate", model, "--adapter", named_a, "--adapter", named_b, "--interactive", "--max-new-tokens", "8"},
      "Anna keeps\n/use a\nAnna keeps\n/use b\nAnna keeps\n/use c\n/use a\nAnna keeps\n/adapters\n"
      "/what\n/quit\nAnna keeps\n");
  CHECK(talk.exit_code == 0);
  CHECK(talk.out == base + a + b + a + "a *\nb\nnone\n");
  CHECK_THAT(talk.err, Contains("no adapter 'c'; loaded: a, b") && Contains("/adapter NAME (or /use)"));

  write_bytes(one / "prompts.jsonl", R"({"prompt": "Anna keeps", "adapter": "aa"})");
  check_refused({"lora-generate", model, "--adapter", named_a, "--prompts", (one / "prompts.jsonl").string()}, 3,
                {"prompts.jsonl:1", "'aa'", "loaded: a"});
  check_refused({"lora-generate", model, "--adapter", named_a, "--adapter", named_b, "--prompt", "x"}, 2, {"--use"});
  check_refused({"lora-generate", model, "--adapter", named_a, "--use", "c", "--prompt", "x"}, 2, {"'c'", "loaded: a"});
  check_refused({"lora-generate", model, "--adapter", named_a, "--adapter", named_a, "--prompt", "x"}, 2, {"'a'"});
  check_refused({"lora-generate", model, "--adapter", (one / "none").string(), "--prompt", "x"}, 5, {"neither a run"});
}

TEST_CASE("lora-generate tells log-probabilities, shifts logits, ends at a text and keeps keys in 8 bits") {
  const TemporaryDirectory directory;
  write_bytes(directory / "prompts.jsonl", R"({"prompt": "Anna keeps"})");
  const std::string model = (quickstart() / "model").string();
  const auto row = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"lora-generate", model, "--prompts", (directory / "prompts.jsonl").string(),
                               "--max-new-tokens", "5", "--logprobs", "2"});
    const Outcome outcome = run(more);
    CAPTURE(outcome.err);
    REQUIRE(outcome.exit_code == 0);
    return json::parse(outcome.out);
  };
  const json plain = row({});
  REQUIRE(plain["tokens"].size() >= 2);
  std::string text;
  for (const json& token : plain["tokens"]) text += token["token"].get<std::string>();
  CHECK(text == plain["answer"]);
  for (const json& token : plain["tokens"]) {
    const json& likeliest = token["top_logprobs"];
    REQUIRE(likeliest.size() == 2);
    CHECK(likeliest[0]["id"] == token["id"]);  // the likeliest is taken
    CHECK(likeliest[0]["logprob"] == token["logprob"]);
    CHECK(likeliest[1]["logprob"].get<double>() <= token["logprob"].get<double>());
    CHECK(std::exp(token["logprob"].get<double>()) + std::exp(likeliest[1]["logprob"].get<double>()) <= 1 + 1e-6);
  }

  const json& first = plain["tokens"][0];
  const json biased = row({"--logit-bias", std::to_string(first["id"].get<int64_t>()) + "=-100"});
  CHECK(biased["tokens"][0]["id"] == first["top_logprobs"][1]["id"]);
  CHECK(biased["tokens"][0]["top_logprobs"][0]["id"] == first["id"]);  // of the model, before the bias

  const std::string answer = plain["answer"];
  const std::string end = answer.substr(answer.size() / 2, 2);
  CHECK(row({"--stop", end})["answer"] == answer.substr(0, answer.find(end)));

  const json kept = row({"--kv-cache-dtype", "int8"});
  CHECK(kept["tokens"][0]["logprob"].get<double>() == Approx(first["logprob"].get<double>()).margin(0.05));
  CHECK(kept["tokens"][0]["logprob"] != first["logprob"]);

  check_refused({"lora-generate", model, "--prompt", "x", "--logprobs", "1"}, 2,
                {"[usage] --logprobs requires --prompts"});
  check_refused({"lora-generate", model, "--prompt", "x", "--logit-bias", "a=1"}, 2, {"a=1"});
  write_bytes(directory / "columns.jsonl", R"({"prompt": "Anna", "temprature": 1})");
  CHECK_THAT(
      run({"lora-generate", model, "--prompts", (directory / "columns.jsonl").string(), "--max-new-tokens", "1"}).err,
      Contains("columns.jsonl: not read: 'temprature'"));
  std::string wordy;
  for (int i = 0; i < 300; ++i) wordy += "Anna ";
  write_bytes(directory / "long.jsonl", json{{"prompt", wordy}}.dump() + "\n" + R"({"prompt": "Anna"})");
  CHECK_THAT(run({"lora-generate", model, "--prompt", wordy, "--max-new-tokens", "1"}).err,
             Contains("tokens, more than the 256 positions"));
  CHECK_THAT(
      run({"lora-generate", model, "--prompts", (directory / "long.jsonl").string(), "--max-new-tokens", "1"}).err,
      Contains("1 of 2 prompts and answers have up to"));
  check_refused({"lora-generate", model, "--prompt", "x", "--logit-bias", "99999=1"}, 2, {"no token 99999"});
  for (const char* option : {"--temperature", "--top-p", "--min-p", "--repetition-penalty", "--frequency-penalty"}) {
    check_refused({"lora-generate", model, "--prompt", "x", option, "nan"}, 2, {option, "nan"});
  }
  for (const char* seed : {"-1", "18446744073709551616", "1.5"}) {
    check_refused({"lora-generate", model, "--prompt", "x", "--seed", seed}, 2, {"--seed", seed});
  }
  check_refused({"lora-generate", model, "--prompt", "x", "--kv-cache-dtype", "int4"}, 2, {"int4 not in {auto,int8}"});
}

TEST_CASE("an adapter of another shape is refused by its tensor, one of another name with a warning") {
  const TemporaryDirectory directory;
  REQUIRE(run({"lora-train", quickstart_recipe(directory, "export: [peft]\n")}).exit_code == 0);
  const std::string adapter = (directory / "run/adapter").string();
  check_refused({"lora-generate", golden_model("default").string(), "--adapter", adapter, "--prompt", "x"}, 4, {});
  json config = read_json(directory / "run/adapter/adapter_config.json");
  config["base_model_name_or_path"] = "someone/another-model";
  write_bytes(directory / "run/adapter/adapter_config.json", config.dump());
  const Outcome outcome = run({"lora-generate", (quickstart() / "model").string(), "--adapter", adapter, "--prompt",
                               "x", "--max-new-tokens", "1"});
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.err, Contains("someone/another-model"));
}
