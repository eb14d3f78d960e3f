#pragma once
// The model families. A family is a function that turns its config.json into a ModelConfig, in a file of this folder,
// and a row of families(). The one decoder in models/network/decoder.h computes all of them.

#include <span>
#include <string_view>

#include "models/network/config_fields.h"

namespace lora {

struct Family {
  std::string_view model_type;
  ModelConfig (*read)(const Fields& fields);
  std::string_view classifier;  // transformers' architecture with a `score`; empty: there is none
};

std::span<const Family> families();

// Null where no family has that model_type.
const Family* find_family(std::string_view model_type);

ModelConfig read_llama(const Fields& fields);
ModelConfig read_mistral(const Fields& fields);
ModelConfig read_qwen2(const Fields& fields);
ModelConfig read_qwen3(const Fields& fields);
ModelConfig read_smollm3(const Fields& fields);
ModelConfig read_phi3(const Fields& fields);
ModelConfig read_gemma(const Fields& fields);
ModelConfig read_gemma2(const Fields& fields);
ModelConfig read_gemma3_text(const Fields& fields);
ModelConfig read_olmo2(const Fields& fields);
ModelConfig read_granite(const Fields& fields);

}  // namespace lora
