// peft_rows: what a file has of a vocabulary that was resized.

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "lora/adapters/peft.h"
#include "lora/adapters/peft_names.h"
#include "models/base/error.h"

namespace lora {
namespace {

// A whole weight in a file, the base's own before a trained one.
constexpr std::array kWholeWeights = {".original_module.weight", ".token_adapter.base_layer.weight",
                                      ".base_layer.weight", ".weight"};

// The tensor of a module of the file; undefined where there is none.
at::Tensor whole_weight(const SafetensorsFile& file, const std::map<std::string, std::string>& names,
                        const std::string& module) {
  for (const char* end : kWholeWeights) {
    if (const auto found = names.find("base_model.model." + module + end); found != names.end()) {
      return file.tensor(found->second);
    }
  }
  return {};
}

}  // namespace

NewRows peft_rows(const std::filesystem::path& directory, const AdapterConfig& config) {
  const std::filesystem::path path = directory / kPeftWeightsFile;
  if (!std::filesystem::exists(path)) return {};  // said by load_peft_weights
  const auto file = std::make_shared<SafetensorsFile>(path);
  const auto names = peft_names(*file);
  NewRows found;
  for (const char* module : {kEmbeddingPath, kHeadPath}) {
    const at::Tensor weight = whole_weight(*file, names, module);
    if (weight.defined() && weight.dim() == 2) found.rows = std::max(found.rows, weight.size(0));
  }
  const std::vector<int64_t> rows = config.trainable_token_indices;
  for (const int64_t id : rows) found.rows = std::max(found.rows, id + 1);
  found.make = [=](const std::string& name, const at::Tensor& stored, int64_t count) {
    const std::string module = name.substr(0, name.rfind('.'));
    const int64_t first = stored.size(0), all = first + count;
    if (const at::Tensor weight = whole_weight(*file, names, module); weight.defined()) {
      if (weight.sizes() == at::IntArrayRef({all, stored.size(1)}))
        return weight.narrow(0, first, count).to(at::kFloat);
    }
    for (int64_t id = first; id < all; ++id) {
      if (module == kEmbeddingPath && std::ranges::count(rows, id) > 0) continue;
      throw ModelError(path.string() + ": is of a model with " + std::to_string(all) + " tokens, and has no row " +
                       std::to_string(id) + " of '" + module + "', which the base with its " + std::to_string(first) +
                       " does not have either; expected the base that the adapter was trained on");
    }
    return at::zeros({count, stored.size(1)}, at::kFloat);  // trainable_token_indices has them all
  };
  return found;
}

}  // namespace lora
