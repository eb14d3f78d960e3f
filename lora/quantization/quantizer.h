#pragma once
// `model.quantization`: what a recipe says -> the way to make a model's projections.

#include <memory>
#include <string>
#include <vector>

#include "lora/quantization/quantized_linear.h"
#include "models/network/pretrained.h"

namespace lora {

struct QuantizationConfig {
  std::string encoding = "none";    // none | int8 | nf4
  bool double_quantization = true;  // nf4: its scales in eight bits too
};

// Nothing where the encoding is none. Its call throws ModelError that names the tensor where a weight is not finite.
Quantizer make_quantizer(const QuantizationConfig& config);

// The quantised projections of a model, under their own paths also where an adapter stands on them.
struct QuantizedModule {
  std::string path;
  std::shared_ptr<const QuantizedLinear> layer;
};
std::vector<QuantizedModule> quantized_modules(const LlamaForCausalLM& model);

}  // namespace lora
