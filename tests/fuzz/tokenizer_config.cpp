// The small JSON files of a tokenizer: the first part of the input is tokenizer_config.json with its chat templates, the
// rest special_tokens_map.json and added_tokens.json.

#include "lora/data/template_files.h"
#include "lora/data/tokenizers/tokenizer_config.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(tokenizer_config) {
  const auto [config, rest] = lora::test::split_input(input);
  const auto [special, added] = lora::test::split_input(rest);
  const auto& directory = lora::test::input_directory();
  lora::test::write_input(directory / "tokenizer_config.json", config);
  lora::test::write_input(directory / "special_tokens_map.json", special.empty() ? "{}" : special);
  lora::test::write_input(directory / "added_tokens.json", added.empty() ? "{}" : added);
  lora::read_tokenizer_config(directory);
  lora::read_template_files(directory).tools_text();
}
