#pragma once
// What other trainers do where their file is silent and lora-train would do something else.
//
// Read from the tools' own sources, of the versions that foreign_version() tells:
//   axolotl          src/axolotl/utils/schemas/{training,peft,config,model}.py, utils/config/__init__.py,
//                    core/builders/base.py (warm-up, checkpoints), utils/data/utils.py (long samples)
//   LLaMA-Factory    src/llamafactory/hparams/{data,finetuning}_args.py, hparams/parser.py, model/adapter.py
//   TRL              trl/trainer/{base,sft,dpo,kto,reward,model}_config.py, trl/experimental/{cpo,orpo}
//   below all three  transformers 5.24 training_args.py; PEFT 0.21 utils/constants.py

#include <cstdint>
#include <string>
#include <vector>

namespace lora {

// What the recipe has become so far, as far as defaults depend on it.
struct ForeignSettings {
  std::string tool;                     // as foreign_tool() names it
  std::string objective = "causal_lm";  // of the recipe
  bool has_adapter = true;              // else the whole network is trained
  bool in_four_bits = false;            // the frozen weights
  bool of_plain_text = false;           // every source is text without a prompt
  bool is_streamed = false;
};

struct ForeignDefault {
  std::string path, value;  // of our key, in YAML
  std::string comment;      // "TRL's default"
};

// Those that hold under these settings. A value is never lora-train's own default.
std::vector<ForeignDefault> foreign_defaults(const ForeignSettings& settings);

// "TRL 1.16": a tool, as foreign_tool() names it, with the version whose keys and defaults these are.
std::string foreign_version(const std::string& tool);

// Rows of a pass and passes of a step, where the file has neither.
struct ForeignBatch {
  int64_t rows, passes;
};
ForeignBatch foreign_batch(const std::string& tool);

}  // namespace lora
