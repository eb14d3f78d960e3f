#pragma once
// BatchDecoder's passes on a device that is not the CPU, by ATen's operations: projections by DeviceLinear, attention against
// pages in the device's memory. The hidden states are float32; what lies within a layer has the model's dtype, as in
// training.
//
// What the host knows of a pass (ids, places of pages, positions) reaches the device before its first layer. The host
// waits for the device once, for the logits, and not at all in a pass of which nobody asks for them.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "models/engine/aten/paged_attention.h"
#include "models/engine/device_pages.h"
#include "models/network/batch_decoder.h"

namespace lora {

struct NormSnapshot;

// Used by one thread, without gradients.
class DeviceDecoder {
 public:
  // As BatchDecoder's.
  DeviceDecoder(const LlamaForCausalLM& model, const KvLayout& layout, int64_t most_pages);
  ~DeviceDecoder();

  DevicePages& pages() const { return *pages_; }
  // As BatchDecoder::pass, but that ids are not looked at. At least one span.
  kernels::Matrix<const float> pass(std::span<const DecoderSpan> asked);

 private:
  struct Numbers;
  struct Pass;
  Pass begin(std::span<const DecoderSpan> asked);
  std::vector<aten::PagedGroup> group_spans(const Pass& pass, int64_t window, bool is_draft, Numbers& numbers) const;
  at::Tensor embed(const Pass& pass) const;
  void layer(Pass& pass, size_t index) const;
  at::Tensor attend(const Pass& pass, size_t index, const at::Tensor& qkv) const;
  at::Tensor project(const Pass& pass, size_t index, ProjectionGroup group, const at::Tensor& x) const;
  void norm(const Pass& pass, size_t index, NormPlace place, const at::Tensor& x, const at::Tensor& y, int64_t column,
            int64_t width) const;
  void add_to_stream(Pass& pass, size_t index, NormPlace place, const at::Tensor& out) const;
  void add_hidden(const Pass& pass) const;
  kernels::Matrix<const float> head(const Pass& pass);

  ModelConfig config_;
  at::Device device_;
  at::ScalarType dtype_;
  std::vector<LayerStructure> structures_;
  std::vector<int64_t> windows_;  // of attention, each once
  KvLayout layout_;
  RopePositions positions_, local_positions_;
  bool has_local_ = false;
  std::shared_ptr<HostBlocks> fetched_;  // LlamaModel::fetched
  std::shared_ptr<DevicePages> pages_;
  at::Tensor logits_;  // (rows, V) float32, in the host's memory
};

}  // namespace lora
