#include "models/engine/host_blocks.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>

#include "models/base/numbers.h"

namespace lora {
namespace {

constexpr int64_t kAlignment = 256;  // bytes, as LibTorch's allocator aligns

}  // namespace

HostBlocks::HostBlocks(at::Device device) : device_(device) {
  copies_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

at::Tensor HostBlocks::add(int64_t layer, const at::Tensor& weight) {
  const auto options = at::TensorOptions(weight.scalar_type()).pinned_memory(device_.is_cuda());
  const at::Tensor host = at::empty(weight.sizes(), options);
  host.copy_(weight.detach());
  layers_.resize(std::max(layers_.size(), as_size(layer + 1)));
  Layer& to = layers_[as_size(layer)];
  to.parts.push_back({host, to.bytes});
  to.bytes += round_up(static_cast<int64_t>(host.nbytes()), kAlignment);
  return host;
}

void HostBlocks::enter(int64_t layer, int64_t next) {
  if (!blocks_[0].memory.defined()) make_blocks();
  Block& block = block_of(layer);
  if (block.layer != layer) fill(layer);
  if (!block.ready) block.copied->block(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  block.ready = true;
  if (next >= 0 && next < layers() && block_of(next).layer != next) fill(next);
}

at::Tensor HostBlocks::on_device(int64_t layer, const at::Tensor& weight) const {
  const Block& block = blocks_[layer % 2];
  if (block.layer == layer && block.ready) {
    for (const Part& part : layers_[as_size(layer)].parts) {
      if (part.host.is_same(weight)) return in_block(block, part);
    }
  }
  return weight.to(at::TensorOptions(device_), /*non_blocking=*/true);
}

at::Tensor HostBlocks::in_block(const Block& block, const Part& part) const {
  return block.memory.narrow(0, part.offset, static_cast<int64_t>(part.host.nbytes()))
      .view(part.host.scalar_type())
      .view(part.host.sizes());
}

void HostBlocks::make_blocks() {
  int64_t largest = 0;
  for (const Layer& layer : layers_) largest = std::max(largest, layer.bytes);
  for (Block& block : blocks_) {
    block.memory = at::empty({largest}, at::TensorOptions(at::kByte).device(device_));
    block.copied.emplace(device_.type());
    c10::impl::VirtualGuardImpl(device_.type()).recordDataPtrOnStream(block.memory.storage().data_ptr(), *copies_);
  }
}

void HostBlocks::fill(int64_t layer) {
  Block& block = block_of(layer);
  block.layer = -1;
  block.ready = false;
  // What was to be computed with the block's last layer comes first.
  c10::Event computed(device_.type());
  computed.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  computed.block(*copies_);
  const c10::StreamGuard guard(*copies_);
  for (const Part& part : layers_[as_size(layer)].parts) {
    in_block(block, part).copy_(part.host, /*non_blocking=*/true);
  }
  block.copied->record(*copies_);
  block.layer = layer;
  ++fetches_;
}

}  // namespace lora
