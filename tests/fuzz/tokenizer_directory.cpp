// A directory with a tokenizer: its small JSON files, its chat templates, and which of its files is the tokenizer. The
// input has the files in the order below and then a text to encode, each behind a NUL; tokenizer.model is the rest. An
// empty part is a file that is not there. The templates are written to another directory, and read back to the same.

#include "lora/data/template_files.h"
#include "lora/data/tokenizer.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/tokenizer_use.h"

namespace {

void check_written_templates(const lora::TemplateFiles& templates) {
  const auto directory = lora::test::input_directory() / "written";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory / "additional_chat_templates");
  // Into a directory of none, of one in its tokenizer_config.json, and of two files.
  const size_t old = templates.text.size() % 3;
  if (old == 1) lora::test::write_input(directory / "tokenizer_config.json", R"({"chat_template": "old", "x": 1})");
  if (old == 2) {
    lora::test::write_input(directory / "tokenizer_config.json", R"({"chat_template": "older"})");
    lora::test::write_input(directory / "chat_template.jinja", "old");
    lora::test::write_input(directory / "additional_chat_templates/old.jinja", "old");
  }
  lora::write_template_files(directory, templates);
  lora::TemplateFiles again = lora::read_template_files(directory), sorted = templates;
  std::ranges::sort(sorted.others);
  std::ranges::sort(again.others);
  if (!again.same_texts(sorted)) ::abort();
}

}  // namespace

FUZZ_TARGET(tokenizer_directory) {
  const auto& directory = lora::test::input_directory();
  std::filesystem::create_directory(directory / "additional_chat_templates");
  const auto put = [&](const char* name, std::string_view bytes) {
    std::filesystem::remove(directory / name);
    if (!bytes.empty()) lora::test::write_input(directory / name, bytes);
  };
  lora::test::InputParts parts{{}, input};
  for (const char* name :
       {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json", "tokenizer.json",
        "vocab.json", "merges.txt", "chat_template.jinja", "additional_chat_templates/tool_use.jinja"}) {
    parts = lora::test::split_input(parts.rest);
    put(name, parts.file);
  }
  const auto [text, model] = lora::test::split_input(parts.rest);
  put("tokenizer.model", model);
  try {
    const lora::TemplateFiles templates = lora::read_template_files(directory);
    templates.tools_text();
    lora::template_paths(directory);
    check_written_templates(templates);
  } catch (const lora::Error&) {
  }
  lora::test::use_tokenizer(*lora::load_tokenizer(directory), text);
}
