#pragma once
// A small model with the adapters of every method, and a decoder for all of them.

#include <memory>
#include <string>
#include <vector>

#include "lora/adapters/adapter_set.h"
#include "lora/inference/generation.h"
#include "models/network/pretrained.h"
#include "tests/adapters/adapted_model.h"
#include "tests/golden.h"

namespace lora::test {

inline std::vector<int64_t> text(int64_t first, int64_t count) {
  std::vector<int64_t> ids;
  for (int64_t i = first; i < first + count; ++i) ids.push_back((i * 31 + 7) % 48);
  return ids;
}

struct Several {
  explicit Several(const std::string& dtype = "float32", const Quantizer& quantizer = {}, at::Device where = at::kCPU,
                   KvDtype kv_dtype = KvDtype::kModel, int64_t most_pages = 0)
      : model(load_pretrained(golden_model("default"), dtype, {}, quantizer, where)), set(model) {
    model->eval();
    for (const auto& [name, config] : every_method()) {
      set.add(name, config, 1);
      randomise(*model, 2 + names.size());
      names.push_back(name);
    }
    set.deactivate();
    decoder = std::make_unique<BatchDecoder>(*model, kv_dtype, most_pages);
    for (const std::string& name : names) {
      set.activate(name);
      snapshots.push_back(decoder->snapshot(*model));
    }
    set.deactivate();
    names.emplace_back();
    snapshots.push_back(decoder->snapshot(*model));
  }

  void use(size_t index) {
    if (names[index].empty()) return set.deactivate();
    set.activate(names[index]);
  }

  std::shared_ptr<LlamaForCausalLM> model;
  AdapterSet set;
  std::vector<std::string> names;  // the last is the base: empty
  std::unique_ptr<BatchDecoder> decoder;
  std::vector<std::shared_ptr<const ModelSnapshot>> snapshots;
};

}  // namespace lora::test
