#include "lora/quantization/quantizer.h"

#include "lora/quantization/quantized_linear.h"
#include "models/base/error.h"

namespace lora {

// Each in its own file.
Encoding int8_encoding(), nf4_encoding();

const std::vector<Encoding>& encodings() {
  static const std::vector<Encoding> all = {int8_encoding(), nf4_encoding()};
  return all;
}

const Names& quantization_names() {
  static const Names names = with_rows({{"none"}}, encodings());
  return names;
}

Quantizer make_quantizer(const QuantizationConfig& config) {
  if (config.encoding == "none") return {};
  const Encoding* encoding = find_row(encodings(), config.encoding);
  if (!encoding) {
    throw ModelError("quantization '" + config.encoding + "' is not known; expected one of " +
                     joined(quantization_names().known) + name_hint(quantization_names(), config.encoding));
  }
  return [config, encoding](const std::string& path, const at::Tensor& weight, const at::Tensor& bias,
                            const ModelForm& model) -> std::shared_ptr<Linear> {
    std::shared_ptr<const QuantizedWeight> packed;
    try {
      packed = encoding->pack(weight, model, config);
    } catch (const NotFinite&) {
      throw ModelError("tensor '" + path + ".weight' has a value that is infinite or not a number, and " +
                       config.encoding +
                       " cannot hold it; look at the model's file, or load it with quantization none");
    }
    return std::make_shared<QuantizedLinear>(std::move(packed), bias);
  };
}

std::vector<QuantizedModule> quantized_modules(const LlamaForCausalLM& model) {
  std::vector<QuantizedModule> found;
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    const auto linear = std::dynamic_pointer_cast<QuantizedLinear>(item.value());
    if (!linear) continue;
    std::string path = item.key();
    constexpr std::string_view kUnderAdapter = ".base_layer";
    while (path.ends_with(kUnderAdapter)) path.resize(path.size() - kUnderAdapter.size());
    found.push_back({path, linear});
  }
  return found;
}

}  // namespace lora
