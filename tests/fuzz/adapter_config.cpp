// PEFT's adapter_config.json, and which modules of a small model it means.

#include "lora/adapters/matcher.h"
#include "lora/adapters/peft.h"
#include "tests/fuzz/target.h"

FUZZ_TARGET(adapter_config) {
  const auto& directory = lora::test::input_directory();
  lora::test::write_input(directory / lora::kPeftConfigFile, input);
  const lora::PeftAdapter adapter = lora::read_peft_config(directory);
  const std::vector<lora::ModulePath> modules = {{"model.embed_tokens", false, false, true},
                                                 {"model.layers.0.self_attn.q_proj", true, false},
                                                 {"model.layers.0.mlp.down_proj", true, false},
                                                 {"model.layers.1.self_attn.q_proj", true, false},
                                                 {"lm_head", true, true}};
  lora::match_modules(modules, adapter.config);
}
