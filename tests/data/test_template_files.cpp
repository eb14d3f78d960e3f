// Where a directory keeps its chat templates.

#include "lora/data/template_files.h"

#include <nlohmann/json.hpp>

#include "lora/data/tokenizer.h"
#include "models/base/error.h"
#include "tests/catch.h"
#include "tests/data/sentencepiece_writer.h"
#include "tests/temporary_directory.h"

namespace lora::test {
namespace {

using Catch::Matchers::Contains;
using nlohmann::json;

void check_written(const TemporaryDirectory& directory, const TemplateFiles& templates, const std::string& where) {
  write_template_files(directory.path(), templates);
  const TemplateFiles found = read_template_files(directory.path());
  CHECK(found.same_texts(templates));
  CHECK(found.where == where);
}

TEST_CASE("templates go where the directory has its own: the file, else the configuration, else a new file") {
  const TemplateFiles one{"", "{{ one }}"}, two{"", "{{ two }}", {{"tool_use", "{{ t }}"}}};
  for (const TemplateFiles& templates : {one, two}) {
    const TemporaryDirectory directory;
    check_written(directory, templates, "chat_template.jinja");
    check_written(directory, {"", "{{ other }}"}, "chat_template.jinja");
    CHECK(read_template_files(directory.path()).others.empty());
  }
  for (const TemplateFiles& templates : {one, two}) {
    const TemporaryDirectory directory;
    write_bytes(directory / "tokenizer_config.json", R"({"eos_token": "</s>", "chat_template": "old"})");
    check_written(directory, templates, "tokenizer_config.json");
    CHECK(json::parse(read_bytes(directory / "tokenizer_config.json"))["eos_token"] == "</s>");
    CHECK_FALSE(std::filesystem::exists(directory / "chat_template.jinja"));
  }
  const TemporaryDirectory both;
  write_bytes(both / "tokenizer_config.json", R"({"chat_template": "old"})");
  write_bytes(both / "chat_template.jinja", "file");
  CHECK(read_template_files(both.path()).text == "file");  // as transformers
  check_written(both, two, "chat_template.jinja");
  CHECK_FALSE(json::parse(read_bytes(both / "tokenizer_config.json")).contains("chat_template"));
}

TEST_CASE("a directory with the same templates stays byte for byte as it is") {
  const TemporaryDirectory directory;
  const std::string config = R"({ "chat_template" : "{{ a }}" })";
  write_bytes(directory / "tokenizer_config.json", config);
  write_template_files(directory.path(), {"", "{{ a }}"});
  CHECK(read_bytes(directory / "tokenizer_config.json") == config);
}

TEST_CASE("a template whose name cannot be a file's is neither read nor written") {
  using namespace std::string_literals;
  const TemporaryDirectory directory;
  for (const std::string& name : {"../b"s, ""s, "a\0b"s, std::string(201, 'a')}) {
    CHECK_THROWS_AS(write_template_files(directory.path(), {"", "a", {{name, "c"}}}), StorageError);
    const json list = {{{"name", "default"}, {"template", "a"}}, {{"name", name}, {"template", "c"}}};
    write_bytes(directory / "tokenizer_config.json", json{{"chat_template", list}}.dump());
    CHECK_THROWS_WITH(read_template_files(directory.path()), Contains("cannot be the name of a file"));
    std::filesystem::remove(directory / "tokenizer_config.json");
  }
  CHECK_FALSE(std::filesystem::exists(directory.path().parent_path() / "b.jinja"));
}

TEST_CASE("a template that is not UTF-8 is refused: a configuration could not hold its bytes") {
  const TemporaryDirectory directory;
  write_bytes(directory / "chat_template.jinja", "{{ a }}\xbc");
  CHECK_THROWS_WITH(read_template_files(directory.path()), Contains("chat_template.jinja: not UTF-8"));
  CHECK_THROWS_WITH(read_template_text(directory / "chat_template.jinja"), Contains("not UTF-8"));
  write_bytes(directory / "chat_template.jinja", "{{ a }}");
  std::filesystem::create_directory(directory / "additional_chat_templates");
  write_bytes(directory / "additional_chat_templates/tool_use.jinja", "\xbc");
  CHECK_THROWS_WITH(read_template_files(directory.path()), Contains("tool_use.jinja: not UTF-8"));
  std::filesystem::remove(directory / "additional_chat_templates/tool_use.jinja");
  write_bytes(directory / "additional_chat_templates/a\xbc.jinja", "{{ a }}");
  CHECK_THROWS_WITH(read_template_files(directory.path()), Contains("the name of a chat template is not UTF-8"));
}

TEST_CASE("two templates of one name are refused: readers disagree on which one counts") {
  const TemporaryDirectory directory;
  const json one = {{"name", "default"}, {"template", "a"}}, other = {{"name", "default"}, {"template", "b"}};
  write_bytes(directory / "tokenizer_config.json", json{{"chat_template", {one, other}}}.dump());
  CHECK_THROWS_WITH(read_template_files(directory.path()), Contains("two chat templates are called 'default'"));
}

TEST_CASE("new tokens keep the templates for tools") {
  const TemporaryDirectory directory;
  SentencePieceModel model;
  model.pieces = first_pieces();
  write_bytes(directory / "tokenizer.model", serialize(model));
  const TemplateFiles templates{"", "{{ one }}", {{"tool_use", "{{ t }}"}}};
  write_template_files(directory.path(), templates);
  CHECK(template_paths(directory.path()).size() == 2);
  const auto tokenizer = load_tokenizer(directory.path(), {"<|new|>"});
  CHECK(read_template_files(tokenizer->files().front().parent_path()).same_texts(templates));
}

}  // namespace
}  // namespace lora::test
