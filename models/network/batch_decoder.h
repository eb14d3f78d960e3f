#pragma once
// Decoding as an engine of its own: the tokens of many sequences in one pass, each at its position and with its model of
// several that share most of their weights (adapters of one base). It computes what LlamaForCausalLM computes with a
// cache, for every family, from the same description of a layer; that path is the reference, on any device.
//
// Weights are read as they are held (RowLinear), activations are float32, keys and values are as KvDtype says. Memory is
// made when a pass has more rows than any before it, and as sequences grow. A pass that reads texts by one model (several
// tokens of a sequence, at least kRowStep rows in all) is computed by the products of training (LinearGroup), in the
// model's dtype.
//
// All of this is on the CPU. On another device ATen's operations compute a pass (device_decoder.h).

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/engine/cpu/matrix.h"
#include "models/engine/kv_pages.h"
#include "models/engine/row_linear.h"
#include "models/network/decoder.h"
#include "models/network/decoder_span.h"

namespace lora {

class DeviceDecoder;

// Used by one thread, without gradients. Its passes work on all threads.
class BatchDecoder {
 public:
  // Why a model is not decoded so; nothing where it is.
  static std::optional<std::string> problem(const LlamaForCausalLM& model);

  // For models of this shape, on this one's device. Throws ModelError where there is a problem(). most_pages: of keys and
  // values on a device that is not the CPU; 0: what its memory has room for now.
  explicit BatchDecoder(const LlamaForCausalLM& model, KvDtype kv_dtype = KvDtype::kModel, int64_t most_pages = 0);
  ~BatchDecoder();
  BatchDecoder(const BatchDecoder&) = delete;
  BatchDecoder& operator=(const BatchDecoder&) = delete;

  // The model, which has this decoder's shape, as it is now.
  std::shared_ptr<const ModelSnapshot> snapshot(LlamaForCausalLM& model) const;
  const KvLayout& layout() const { return layout_; }
  int64_t hidden_size() const { return config_.hidden_size; }
  // A page for a sequence that parts from another one within it. Throws as pass() does.
  std::shared_ptr<KvPage> copy_of(const KvPage& page) const;
  // Pages that sequences may have in all, and those that are not taken. On the CPU there is no bound.
  int64_t most_pages() const;
  int64_t free_pages() const;
  // Whether a text may be read in several passes. LongRoPE's angles depend on the length of all of it.
  bool reads_in_pieces() const { return config_.rope.type != RopeConfig::Type::kLongRope; }

  // Computes the spans' tokens; their sequences grow by them. Each sequence has at most one span. Returns the logits
  // wanted, (rows, V) float32 in the order of the spans; valid until the next pass. Throws ModelError, before anything
  // has changed, for an id without a row and for positions that RopePositions refuses; Error (exit code 4) where a device
  // has too few pages left for the sequences.
  kernels::Matrix<const float> pass(std::span<const DecoderSpan> spans);

 private:
  struct Pass;  // what the layers read of one
  struct Buffers;
  void expect_ids(std::span<const DecoderSpan> spans) const;
  Pass begin(std::span<const DecoderSpan> spans);
  void embed(const Pass& pass);
  void layer(const Pass& pass, size_t index);
  template <class T>
  void attend(const Pass& pass, size_t index);
  void project(const Pass& pass, size_t index, ProjectionGroup group, const at::Tensor& x, const at::Tensor& y);
  void norm_rows(const Pass& pass, size_t index, NormPlace place, kernels::Matrix<float> x,
                 kernels::Matrix<float> y) const;
  void add_hidden(const Pass& pass);
  void add_to_stream(const Pass& pass, size_t index, NormPlace norm);
  kernels::Matrix<const float> head(const Pass& pass, std::span<const DecoderSpan> spans);

  ModelConfig config_;
  at::ScalarType dtype_;
  std::vector<LayerStructure> structures_;
  KvLayout layout_;
  RopePositions positions_, local_positions_;
  bool has_local_ = false, is_classifier_;
  RowProducts products_;
  std::unique_ptr<Buffers> buffers_;
  std::unique_ptr<DeviceDecoder> on_device_;  // null: the model is on the CPU
};

}  // namespace lora
