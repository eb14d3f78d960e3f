// PEFT's adapter_config.json, and which modules of a small model it means, as a file's config and as a recipe's. What
// the adapted model's file says is read and written to the same text.

#include "lora/adapters/inject.h"
#include "lora/adapters/matcher.h"
#include "lora/adapters/peft.h"
#include "models/network/pretrained.h"
#include "tests/fuzz/target.h"
#include "tests/golden.h"

namespace {

using lora::PeftAdapter;

const auto& small_modules() {
  static const std::vector<lora::ModulePath> list = {
      {"model.embed_tokens", false, false, true},       {"model.layers.0.self_attn.q_proj", true, false},
      {"model.layers.0.mlp.down_proj", true, false},    {"model.layers.0.input_layernorm", false, false},
      {"model.layers.1.self_attn.q_proj", true, false}, {"lm_head", true, true}};
  return list;
}

// The file of a model with shapes alone.
std::string written_config(const PeftAdapter& adapter) {
  const auto model = lora::make_meta(lora::test::golden_model("qwen2"), "auto");
  return lora::peft_config_text(lora::inject(model, adapter.config, 0, /*fresh=*/false), adapter.base_model);
}

}  // namespace

FUZZ_TARGET(adapter_config) {
  const auto& directory = lora::test::input_directory();
  std::filesystem::remove(directory / lora::kPeftConfigFile);
  if (!input.empty()) lora::test::write_input(directory / lora::kPeftConfigFile, input);
  const PeftAdapter adapter = lora::read_peft_config(directory, {"ignored"});
  lora::AdapterConfig of_recipe = adapter.config;
  of_recipe.file.clear();
  try {
    lora::unmatched_patterns(small_modules(), of_recipe);
    lora::match_modules(small_modules(), of_recipe);
  } catch (const lora::Error&) {
  }
  lora::match_modules(small_modules(), adapter.config);
  const std::string text = written_config(adapter);
  lora::test::write_input(directory / lora::kPeftConfigFile, text);
  const PeftAdapter again = lora::read_peft_config(directory);
  if (again.base_model != adapter.base_model || written_config(again) != text) ::abort();
}
