#pragma once
// The model families: what each says of the one decoder in models/llama.h. A family is a function that reads its
// config.json, in a file of this folder, and a row of families().

#include <span>
#include <string_view>

#include "models/network/config_fields.h"

namespace lora {

struct Family {
  std::string_view model_type;
  ModelConfig (*read)(const Fields& fields);
  std::string_view classifier;  // transformers' architecture with a `score`; empty: it has none
};

std::span<const Family> families();

// Null where there is none of that model_type.
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
