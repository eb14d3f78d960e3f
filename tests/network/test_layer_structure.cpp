// The description of a layer against the modules that hold its tensors.

#include "models/network/layer_structure.h"
#include "models/network/pretrained.h"
#include "tests/catch.h"
#include "tests/golden_families.h"

using namespace lora;
using namespace lora::test;

namespace {

using Tensors = std::vector<std::pair<std::string, std::vector<int64_t>>>;

// The tensors that the structure describes, module by module.
Tensors described(const LayerStructure& structure) {
  Tensors all;
  for (const std::string module : {kAttentionModule, kMlpModule, ""}) {
    for (const ProjectionShape& one : structure.projections) {
      if (one.module() != module) continue;
      all.push_back({one.path() + ".weight", {one.out, one.in}});
      if (one.bias) all.push_back({one.path() + ".bias", {one.out}});
    }
    for (const NormShape& one : structure.norms) {
      if (one.module() == module) all.push_back({one.path() + ".weight", {one.size}});
    }
  }
  return all;
}

}  // namespace

TEST_CASE("the layers of every family hold the tensors that their structure describes, in order") {
  for (const std::string& name : golden_families()) {
    INFO(name);
    const auto model = load_pretrained(golden_family(name), "float32");
    for (const auto& layer : model->model->layers) {
      Tensors held;
      for (const auto& parameter : layer->named_parameters()) {
        held.emplace_back(parameter.key(), parameter.value().sizes().vec());
      }
      CHECK(held == described(layer->structure()));
    }
  }
}

TEST_CASE("the groups of a structure have the widths of heads and MLP") {
  for (const std::string& name : golden_families()) {
    INFO(name);
    const ModelConfig config = read_model_config(golden_family(name));
    const LayerStructure layer = layer_structure(config, config.layers.front());
    CHECK(layer.out_features(ProjectionGroup::kQkv) == layer.heads.width());
    CHECK(layer.in_features(ProjectionGroup::kO) == layer.heads.heads * layer.heads.dim);
    CHECK(layer.out_features(ProjectionGroup::kGateUp) == 2 * config.intermediate_size);
    CHECK(layer.out_features(ProjectionGroup::kDown) == config.hidden_size);
    CHECK(layer.rope_dim <= layer.heads.dim);
  }
}
