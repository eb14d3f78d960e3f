// Formats: the exact prompts that rows become.

#include "lora/data/format.h"

#include <nlohmann/json.hpp>

#include "models/error.h"
#include "tests/catch.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;

Example make(const std::string& format, const std::string& row, const std::map<std::string, std::string>& fields = {}) {
  const DataSource source{"rows.jsonl", format, 1.0, fields};
  const auto object = nlohmann::ordered_json::parse(row);
  const std::string where = "rows.jsonl:1";
  return format_of(source).make(DataRow(source, object, where));
}

TEST_CASE("alpaca with an input uses the longer template") {
  const auto example = make("alpaca", R"({"instruction": "Add.", "input": "1 2", "output": "3"})");
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
  CHECK(make("alpaca", R"({"instruction": "Sing.", "input": "", "output": "La"})").prompt == expected);
  CHECK(make("alpaca", R"({"instruction": "Sing.", "output": "La"})").prompt == expected);
  CHECK(make("alpaca", R"({"instruction": "Sing.", "input": null, "output": "La"})").prompt == expected);
}

TEST_CASE("completion and text take their columns as they are") {
  const auto completion =
      make("completion", R"({"question": "2+2=", "answer": 4})", {{"prompt", "question"}, {"completion", "answer"}});
  CHECK(completion.prompt == "2+2=");
  CHECK(completion.completion == "4");
  const auto text = make("text", R"({"text": " as it is\n"})");
  CHECK(text.prompt.empty());
  CHECK(text.completion == " as it is\n");
}

TEST_CASE("classification takes a text and its label, which may not be empty") {
  const auto example = make("classification", R"({"text": "Where is my card?", "label": 3})");
  CHECK(example.prompt == "Where is my card?");
  CHECK(example.label == "3");
  CHECK_THROWS_WITH(make("classification", R"({"text": "x", "label": ""})"),
                    Contains("rows.jsonl:1: the label is empty"));
}

TEST_CASE("an unknown format and a renamed column that no format reads are the recipe's errors") {
  CHECK_THROWS_WITH(make("alpacca", "{}"), Contains("unknown format 'alpacca'") && Contains("'completion'"));
  CHECK_THROWS_AS(make("alpacca", "{}"), RecipeError);
  CHECK_THROWS_WITH(make("text", "{}", {{"txt", "body"}}), Contains("renames 'txt'") && Contains("reads 'text'"));
  CHECK_THROWS_AS(make("text", "{}", {{"txt", "body"}}), RecipeError);
}

TEST_CASE("every format is registered once, with the columns it reads") {
  std::vector<std::string> names;
  for (const Format& format : formats()) {
    names.push_back(format.name);
    CHECK_FALSE(format.columns.empty());
    CHECK(format.make != nullptr);
  }
  CHECK(names == std::vector<std::string>{"alpaca", "classification", "completion", "text"});
}

}  // namespace
}  // namespace lora::test
