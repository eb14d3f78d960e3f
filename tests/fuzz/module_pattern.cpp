// A regular expression of a recipe or an adapter_config.json over module paths, then NUL, then a path.

#include "lora/adapters/regex.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(module_pattern) {
  const auto [pattern, path] = lora::test::split_input(input);
  const lora::Regex regex{std::string(pattern)};
  regex.full_match("model.layers.10.self_attn.q_proj");
  regex.full_match(std::string(path));
}
