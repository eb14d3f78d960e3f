// A directory with a tokenizer: its small JSON files, its chat templates, and which of its files is the tokenizer. The
// input has the files in the order below and then a text to encode, each behind a NUL; tokenizer.model is the rest. An
// empty part is a file that is not there.

#include "lora/data/template_files.h"
#include "lora/data/tokenizer.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(tokenizer_directory) {
  const auto& directory = lora::test::input_directory();
  const auto put = [&](const char* name, std::string_view bytes) {
    std::filesystem::remove(directory / name);
    if (!bytes.empty()) lora::test::write_input(directory / name, bytes);
  };
  lora::test::InputParts parts{{}, input};
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json",
                           "tokenizer.json", "vocab.json", "merges.txt"}) {
    parts = lora::test::split_input(parts.rest);
    put(name, parts.file);
  }
  const auto [text, model] = lora::test::split_input(parts.rest);
  put("tokenizer.model", model);
  try {
    lora::read_template_files(directory).tools_text();
  } catch (const lora::ModelError&) {
  }
  const auto tokenizer = lora::load_tokenizer(directory);
  std::vector<int64_t> ids;
  for (const lora::Token& token : tokenizer->encode(text)) ids.push_back(token.id);
  tokenizer->decode(ids);
}
