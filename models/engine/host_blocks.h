#pragma once
// Frozen weights of layers that a device has no room for. They stay in the host's memory; two blocks on the device hold a
// layer each: one is computed with, the other is filled with the next one meanwhile, by a stream of its own.
//
// Layers are entered one after another, each beside the one before: 0 to L − 1 forward, L − 1 to 0 backward. So the last two
// of the forward pass are there when the backward pass begins, and the first two when the next forward pass does. A weight
// that is asked for out of this order is copied for that one use: what is computed does not depend on the order.

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace lora {

// Used by one thread at a time.
class HostBlocks {
 public:
  // Of a device that is not the CPU.
  explicit HostBlocks(at::Device device);

  // A copy of a layer's tensor in the host's memory, which is pinned for a CUDA device. Before the first enter().
  at::Tensor add(int64_t layer, const at::Tensor& weight);

  // Has the layer's weights in its block before anything that the device computes from now on, and begins to copy those of
  // `next`, the layer that is entered after it. A `next` that there is not: nothing is copied.
  void enter(int64_t layer, int64_t next);

  // A tensor that add() returned, on the device: a part of the layer's block where the layer is there, else a copy. For what
  // is computed at once: the block is filled anew when another layer is entered.
  at::Tensor on_device(int64_t layer, const at::Tensor& weight) const;

  at::Device device() const { return device_; }
  int64_t layers() const { return static_cast<int64_t>(layers_.size()); }
  int64_t fetches() const { return fetches_; }  // layers copied into a block so far

 private:
  struct Part {
    at::Tensor host;
    int64_t offset;  // bytes, in a block
  };
  struct Layer {
    std::vector<Part> parts;
    int64_t bytes = 0;
  };
  struct Block {
    at::Tensor memory;
    int64_t layer = -1;  // that it holds, or is being filled with; -1: none
    bool ready = false;  // what the device computes from now on waits for the copy
    std::optional<c10::Event> copied = {};
  };
  Block& block_of(int64_t layer) { return blocks_[layer % 2]; }
  at::Tensor in_block(const Block& block, const Part& part) const;
  void make_blocks();
  void fill(int64_t layer);

  at::Device device_;
  std::optional<c10::Stream> copies_;  // the stream of copies
  std::vector<Layer> layers_;
  Block blocks_[2];
  int64_t fetches_ = 0;
};

}  // namespace lora
