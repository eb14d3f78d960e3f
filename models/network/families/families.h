#pragma once
// The model families. A family is a function that turns its config.json into a ModelConfig for the one decoder
// (models/network/decoder.h). It has one file in this directory and one row in families().

#include <span>
#include <string_view>

#include "models/network/config_fields.h"

namespace lora {

struct Family {
  std::string_view model_type;
  ModelConfig (*read)(const Fields& fields);
  std::string_view classifier;  // transformers' architecture with a `score` head; empty: none
};

std::span<const Family> families();

// Null for an unknown model_type.
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
