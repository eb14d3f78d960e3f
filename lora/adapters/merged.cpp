#include "lora/adapters/merged.h"

#include <ATen/ATen.h>

#include "lora/adapters/adapter_embedding.h"
#include "lora/adapters/adapter_linear.h"
#include "models/base/error.h"

namespace lora {

std::vector<LazyTensor> merged_tensors(const LlamaForCausalLM& model) {
  std::vector<LazyTensor> tensors;
  const at::ScalarType dtype = model.dtype();
  const auto add = [&](const std::string& name, at::IntArrayRef shape, std::function<at::Tensor()> make) {
    tensors.push_back({name, dtype, shape.vec(), [dtype, make = std::move(make)] {
                         const at::NoGradGuard no_grad;
                         return make().detach().to(dtype);
                       }});
  };
  const auto add_linear = [&](const std::string& path, const Linear& linear, std::function<at::Tensor()> weight) {
    add(path + ".weight", {linear.out_features(), linear.in_features()}, std::move(weight));
    const at::Tensor bias = linear.bias_vector();
    if (bias.defined()) add(path + ".bias", bias.sizes(), [bias] { return bias; });
  };
  std::string inside;  // path of the adapter whose base is being walked over
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    if (!inside.empty() && item.key().starts_with(inside + ".")) continue;
    if (const auto embedding = std::dynamic_pointer_cast<AdapterEmbedding>(item.value())) {
      inside = item.key();
      add(item.key() + ".weight", embedding->weight_matrix().sizes(),
          [embedding] { return embedding->merged_weight(); });
    } else if (const auto adapter = std::dynamic_pointer_cast<AdapterLinear>(item.value())) {
      inside = item.key();
      if (adapter->bias_vector().defined() && !adapter->base_layer()->bias_vector().defined()) {
        throw AdapterError("lora_bias: merged, '" + item.key() +
                           "' has a bias, for which this model's layers have no place; "
                           "expected the adapter as it is (export peft)");
      }
      add_linear(item.key(), *adapter, [adapter] { return adapter->merged_weight(); });
    } else if (const auto linear = std::dynamic_pointer_cast<Linear>(item.value())) {
      add_linear(item.key(), *linear, [linear] { return linear->weight_matrix(); });
    } else {
      for (const auto& parameter : item.value()->named_parameters(/*recurse=*/false)) {
        add(item.key() + "." + parameter.key(), parameter.value().sizes(),
            [value = parameter.value()] { return value; });
      }
    }
  }
  return tensors;
}

void for_each_merged_tensor(const LlamaForCausalLM& model,
                            const std::function<void(const std::string&, const at::Tensor&)>& visit) {
  for (const LazyTensor& tensor : merged_tensors(model)) visit(tensor.name, tensor.make());
}

}  // namespace lora
