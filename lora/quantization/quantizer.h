#pragma once
// `model.quantization` of a recipe -> the function that makes a model's projections. An encoding is one file and one
// row in quantizer.cpp.

#include <memory>
#include <string>
#include <vector>

#include "lora/quantization/quantized_linear.h"
#include "models/base/names.h"
#include "models/network/pretrained.h"

namespace lora {

struct QuantizationConfig {
  std::string encoding = "none";    // one of quantization_names()
  bool double_quantization = true;  // nf4: scales in eight bits too
};

struct Encoding {
  std::string name;
  // Packs a weight (out, in) of the CPU for a model. Throws NotFinite.
  std::shared_ptr<const QuantizedWeight> (*pack)(const at::Tensor& weight, const ModelForm& model,
                                                 const QuantizationConfig& config);
  std::vector<std::string> elsewhere = {};  // other tools' names for it
};

// All encodings.
const std::vector<Encoding>& encodings();

// The names that `model.quantization` accepts: none, and those of encodings().
const Names& quantization_names();

// Null if the encoding is none. The quantizer throws ModelError with the tensor's name if a weight is not finite.
Quantizer make_quantizer(const QuantizationConfig& config);

// A model's quantised projections by path, also those wrapped by an adapter.
struct QuantizedModule {
  std::string path;
  std::shared_ptr<const QuantizedLinear> layer;
};
std::vector<QuantizedModule> quantized_modules(const LlamaForCausalLM& model);

}  // namespace lora
