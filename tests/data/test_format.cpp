// Formats: the exact prompts that rows become.

#include "lora/data/format.h"

#include <nlohmann/json.hpp>

#include "models/base/error.h"
#include "tests/catch.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

Example example_of(const std::string& format, const std::string& row,
                   const std::map<std::string, std::string>& fields = {}) {
  const DataSource source{"rows.jsonl", format, 1.0, fields};
  const auto object = nlohmann::ordered_json::parse(row);
  const std::string where = "rows.jsonl:1";
  return format_of(source).make(DataRow(source, object, where));
}

TEST_CASE("alpaca with an input uses the longer template") {
  const auto example = example_of("alpaca", R"({"instruction": "Add.", "input": "1 2", "output": "3"})");
  CHECK(example.prompt ==
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
        "response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n"
        "### Response:\n");
  CHECK(example.completion == "3");
}

TEST_CASE("alpaca without an input uses the shorter template") {
  const std::string expected =
      "Below is an instruction that describes a task. Write a response that appropriately completes the "
      "request.\n\n### Instruction:\nSing.\n\n### Response:\n";
  CHECK(example_of("alpaca", R"({"instruction": "Sing.", "input": "", "output": "La"})").prompt == expected);
  CHECK(example_of("alpaca", R"({"instruction": "Sing.", "output": "La"})").prompt == expected);
  CHECK(example_of("alpaca", R"({"instruction": "Sing.", "input": null, "output": "La"})").prompt == expected);
}

TEST_CASE("completion and text take their columns as they are") {
  const auto completion = example_of("completion", R"({"question": "2+2=", "answer": 4})",
                                     {{"prompt", "question"}, {"completion", "answer"}});
  CHECK(completion.prompt == "2+2=");
  CHECK(completion.completion == "4");
  const auto text = example_of("text", R"({"text": " as it is\n"})");
  CHECK(text.prompt.empty());
  CHECK(text.completion == " as it is\n");
}

TEST_CASE("classification takes a text and its label, which may not be empty") {
  const auto example = example_of("classification", R"({"text": "Where is my card?", "label": 3})");
  CHECK(example.prompt == "Where is my card?");
  CHECK(example.label == "3");
  CHECK_THROWS_WITH(example_of("classification", R"({"text": "x", "label": ""})"),
                    Contains("rows.jsonl:1: the label is empty"));
}

std::string roles_of(const Example& example) {
  std::string text;
  for (const ChatMessage& message : example.chat->messages) {
    text += (text.empty() ? "" : " ") + message.role() + (message.trained ? "" : "-") + ":" + message.content();
  }
  return text;
}

TEST_CASE("calls and the names of tools are in a conversation's text for cleaning, so that they tell rows apart") {
  const auto with = [](const std::string& name, int x) {
    return example_of("chat", R"({"tools": [{"type": "function", "function": {"name": ")" + name +
                                  R"("}}], "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant",
      "content": "", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": )" +
                                  std::to_string(x) + "}}}]}]}");
  };
  CHECK(with("f", 1).prompt == "tools: f\nHi");
  CHECK(with("f", 1).completion == R"({"name":"f","arguments":{"x":1}})");
  CHECK(with("f", 2).completion == R"({"name":"f","arguments":{"x":2}})");
  CHECK(with("g", 1).prompt == "tools: g\nHi");
}

TEST_CASE("a row's answer for cleaning is its last one, whatever follows it") {
  const auto example = example_of("chat", R"({"messages": [{"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "fine"}, {"role": "user", "content": "you?"}]})");
  CHECK(example.completion == "fine");
  CHECK(example.prompt == "Hi\nyou?");
  CHECK(example_of("chat", R"({"messages": [{"role": "user", "content": "Hi"}]})").completion.empty());
}

TEST_CASE("a whole number that 64 bits do not hold is refused as text, since its digits are lost") {
  CHECK(example_of("text", R"({"text": 18446744073709551615})").completion == "18446744073709551615");
  CHECK(example_of("text", R"({"text": 1.5})").completion == "1.5");
  CHECK_THROWS_WITH(example_of("text", R"({"text": 12345678901234567890123})"),
                    Contains("column 'text' is a number beyond 64 bits, expected text"));
}

TEST_CASE("chat takes OpenAI's messages, with weights, parts, tools and null content") {
  const auto example = example_of("chat", R"({"tools": [{"b": 1, "a": 2}], "messages": [
    {"role": "developer", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "q"}]},
    {"role": "assistant", "content": "x", "weight": 0}, {"role": "user", "content": "r", "name": null},
    {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": "{\"k\": 1}"}}]}]})");
  CHECK(roles_of(example) == "system:s user:q assistant-:x user:r assistant:");
  CHECK(example.chat->tools.dump() == R"([{"b":1,"a":2}])");
  CHECK(example.chat->messages[4].fields["tool_calls"][0]["function"]["arguments"]["k"] == 1);
  CHECK_FALSE(example.chat->messages[3].fields.contains("name"));
  CHECK(example.prompt == "tools: {\"b\":1,\"a\":2}\ns\nq\nx\nr");
  CHECK(example.completion == R"({"name":"f","arguments":{"k":1}})");
}

TEST_CASE("sharegpt maps its roles and takes a system column") {
  const auto example = example_of("sharegpt", R"({"system": "s", "conversations": [
    {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}, {"from": "tool", "value": "t"}]})");
  CHECK(roles_of(example) == "system:s user:q assistant:a tool:t");
  CHECK_THROWS_WITH(example_of("sharegpt", R"({"system": "s", "conversations": [{"from": "system", "value": "q"}]})"),
                    Contains("beside conversations that have one of their own"));
}

TEST_CASE("a conversation that is none is refused with its row and message") {
  const auto refuse = [](const std::string& messages, const std::string& text) {
    INFO(messages);
    CHECK_THROWS_AS(example_of("chat", "{\"messages\": " + messages + "}"), DataError);
    CHECK_THROWS_WITH(example_of("chat", "{\"messages\": " + messages + "}"),
                      Contains("rows.jsonl:1") && Contains(text));
  };
  refuse("3", "'messages' is number");
  refuse("[]", "is empty");
  refuse(R"(["x"])", "messages[0]: found string");
  refuse(R"([{"role": "user", "content": "a"}, {"content": "x"}])", "messages[1]: no 'role'");
  refuse(R"([{"role": "usr", "content": "x"}])", "unknown role 'usr' (did you mean 'user'?)");
  refuse(R"([{"role": "<|im_end|>", "content": "x"}])", "unknown role");
  refuse(R"([{"role": "user"}])", "no 'content'");
  refuse(R"([{"role": "user", "content": 3}])", "'content' is number");
  refuse(R"([{"role": "user", "content": [{"type": "image_url"}]}])", "a part that is not text");
  refuse(R"([{"role": "assistant", "content": "x", "weight": 0.5}])", "'weight' is 0.5, expected 0 or 1");
  std::string deep = "1";
  for (int i = 0; i < 500; ++i) deep = "[" + deep + "]";
  refuse(R"([{"role": "user", "content": "x", "more": )" + deep + "}]", "nested more than 100 deep");
  CHECK_THROWS_WITH(example_of("chat", R"({"messages": [{"role": "user", "content": "x"}], "tools": 1})"),
                    Contains("'tools'"));
}

TEST_CASE("preference pairs are read whole: as texts, as messages, with the prompt apart or inside") {
  const auto texts = example_of("preference", R"({"prompt": "p", "input": "i", "chosen": "c", "rejected": "r"})");
  CHECK(texts.prompt == "p\n\ni");
  CHECK(texts.completion == "c");
  CHECK(texts.rejected->completion == "r");
  const auto inside = example_of("preference", R"({
    "chosen": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}],
    "rejected": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]})");
  CHECK(roles_of(inside) == "user:p assistant:c");
  CHECK(roles_of(*inside.rejected) == "user:p assistant:r");
  const auto apart = example_of("preference", R"({"prompt": [{"role": "user", "content": "p"}],
    "chosen": [{"role": "assistant", "content": "c"}], "rejected": [{"role": "assistant", "content": "r"}]})");
  CHECK(roles_of(apart) == "user:p assistant:c");
  CHECK_THROWS_WITH(example_of("preference", R"({
    "chosen": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}],
    "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}]})"),
                    Contains("answers to different prompts"));
  CHECK_THROWS_WITH(example_of("preference", R"({"prompt": "p", "chosen": "c", "rejected": []})"),
                    Contains("one is text"));
}

TEST_CASE("an unknown format and a renamed column that no format reads are the recipe's errors") {
  CHECK_THROWS_WITH(example_of("alpacca", "{}"), Contains("unknown format 'alpacca'") && Contains("completion, "));
  CHECK_THROWS_AS(example_of("alpacca", "{}"), RecipeError);
  CHECK_THROWS_WITH(example_of("text", "{}", {{"txt", "body"}}), Contains("renames 'txt'") && Contains("reads 'text'"));
  CHECK_THROWS_AS(example_of("text", "{}", {{"txt", "body"}}), RecipeError);
}

TEST_CASE("every format is registered once, with the columns it reads") {
  std::vector<std::string> names;
  for (const Format& format : formats()) {
    names.push_back(format.name);
    CHECK_FALSE(format.columns.empty());
    CHECK(format.make != nullptr);
  }
  CHECK(names == std::vector<std::string>{"alpaca", "chat", "classification", "completion", "preference",
                                          "preference_chat", "sharegpt", "text"});
}

}  // namespace
}  // namespace lora::test
