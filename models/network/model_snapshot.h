#pragma once
// A model's tensors as decoding reads them (batch_decoder.h), at one moment: with the adapter that is in the network.

#include <functional>
#include <memory>
#include <vector>

#include "models/engine/aten/device_linear.h"
#include "models/engine/linear_group.h"
#include "models/engine/row_linear.h"
#include "models/network/decoder.h"

namespace lora {

// The projections of one input, for few rows and for many.
struct SnapshotGroup {
  RowLinear rows;
  LinearGroup many;
};

// An RMSNorm; undefined tensors: there is none.
struct NormSnapshot {
  at::Tensor multiplier;  // float32
  at::Tensor weight;      // that it was made of: two models share it where they have one norm
};

struct LayerSnapshot {
  // In the order of kProjectionGroups: the first of a model on the CPU, the second of one on another device.
  std::vector<SnapshotGroup> groups;
  std::vector<aten::DeviceLinear> device_groups;
  NormSnapshot before_attention, after_attention, before_mlp, after_mlp, q_norm, k_norm;

  const SnapshotGroup& group(ProjectionGroup which) const { return groups[static_cast<size_t>(which)]; }
  const aten::DeviceLinear& device_group(ProjectionGroup which) const {
    return device_groups[static_cast<size_t>(which)];
  }
  const NormSnapshot& norm(NormPlace place) const;
};

// Weights are shared with the network, and stay as they are here when the network exchanges them. What an optimizer
// writes into them is seen, but not by the copies of adapters that RowLinear makes: a snapshot lasts for as long as
// nothing is trained.
class ModelSnapshot {
 public:
  // Throws ModelError for a layer that has a projection with a forward pass of its own.
  explicit ModelSnapshot(LlamaForCausalLM& model);

  at::Tensor embed(const at::Tensor& ids) const { return embed_(ids); }  // (N) -> (N, H)
  // The head as a projection (V, H), on the CPU and on another device; null elsewhere, and where it has a forward pass of
  // its own, which project_head is.
  const RowLinear* head() const { return head_.get(); }
  const aten::DeviceLinear* device_head() const { return device_head_.get(); }
  at::Tensor project_head(const at::Tensor& hidden) const { return project_head_(hidden); }  // (M, H) -> (M, V)

  std::vector<LayerSnapshot> layers;
  NormSnapshot final_norm;

 private:
  std::function<at::Tensor(const at::Tensor&)> embed_, project_head_;
  std::shared_ptr<const RowLinear> head_;
  std::shared_ptr<const aten::DeviceLinear> device_head_;
};

}  // namespace lora
