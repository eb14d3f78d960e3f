#pragma once
// Decoding as an engine of its own: the tokens of many sequences in one pass, each at its position and with its model of
// several that share most of their weights (adapters of one base). It computes what LlamaForCausalLM computes with a
// cache, for every family, from the same description of a layer; that path is the reference, on any device.
//
// Weights are read as they are held (RowLinear), activations are float32, keys and values are as KvDtype says. Memory is
// made when a pass has more rows than any before it, and as sequences grow. A pass that reads texts by one model (several
// tokens of a sequence, at least kRowStep rows in all) is computed by the products of training (LinearGroup), in the
// model's dtype.

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

namespace lora {

// A model as it was when this was made: later changes of the network (another adapter, a step of training) are not seen.
// Weights are shared with it, without a copy.
class ModelSnapshot;

// New tokens of a sequence.
struct DecoderSpan {
  KvSequence* sequence;
  std::span<const int64_t> ids;  // at least one, in [0, vocab_size)
  const ModelSnapshot* model;
  int64_t logits;  // how many of the last tokens' logits are wanted
  // (H), or empty: the tokens' hidden states behind the last norm are added to it.
  std::span<double> hidden = {};
};

// Used by one thread, without gradients. Its passes work on all threads.
class BatchDecoder {
 public:
  // Why a model is not decoded so; nothing where it is.
  static std::optional<std::string> problem(const LlamaForCausalLM& model);

  // For models of this shape. Throws ModelError where there is a problem().
  explicit BatchDecoder(const LlamaForCausalLM& model, KvDtype kv_dtype = KvDtype::kModel);
  ~BatchDecoder();
  BatchDecoder(const BatchDecoder&) = delete;
  BatchDecoder& operator=(const BatchDecoder&) = delete;

  // The model, which has this decoder's shape, as it is now.
  std::shared_ptr<const ModelSnapshot> snapshot(LlamaForCausalLM& model) const;
  const KvLayout& layout() const { return layout_; }
  int64_t hidden_size() const { return config_.hidden_size; }
  // Whether a text may be read in several passes. LongRoPE's angles depend on the length of all of it.
  bool reads_in_pieces() const { return config_.rope.type != RopeConfig::Type::kLongRope; }

  // Computes the spans' tokens; their sequences grow by them. Each sequence has at most one span. Returns the logits
  // wanted, (rows, V) float32 in the order of the spans; valid until the next pass. Throws ModelError, before anything
  // has changed, for an id without a row and for positions that RopePositions refuses.
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
};

}  // namespace lora
