#pragma once
// LoRA (Hu et al. 2021, §4.1): W' = W + s·B·A, with s of lora_scaling. rsLoRA is the same with use_rslora set.

#include "lora/adapters/adapter_embedding.h"
#include "lora/adapters/adapter_linear.h"
#include "lora/adapters/method.h"

namespace lora {

// y = W x + s·B·A·dropout(x). A (r, in) and B (out, r) are float32 whatever the base's dtype, as PEFT has them, and
// their product is computed in float32; see initialise.h for how they begin.
//
// Where the initial pair comes out of the base (PiSSA, OLoRA), y = W x − s·B₀·A₀·x + s·B·A·dropout(x). PEFT computes
// the same by putting W − s·B₀·A₀ in W's place. Here W stays as it is, so that it can be shared, mapped or quantized
// and loses no digit. The file is that of plain LoRA on W with rank 2r: A over A₀, and B beside −B₀. That is the whole
// state of the layer.
class LoraLinear final : public AdapterLinear {
 public:
  LoraLinear(std::shared_ptr<Linear> base, const LayerOptions& options);
  at::Tensor forward(const at::Tensor& x) override;
  std::optional<LinearParts> parts() const override;
  at::Tensor merged_weight() const override;
  std::optional<LowRankUpdate> update() const override;
  std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const override;
  void load_peft_tensors(const std::vector<at::Tensor>& tensors) override;

  double scaling() const { return scaling_; }

  // With lora_bias, s·b is a part of the layer's bias.
  at::Tensor bias_vector() const override;

  at::Tensor lora_A, lora_B;
  at::Tensor lora_B_bias;       // b (out) float32, or undefined
  at::Tensor start_A, start_B;  // A₀ and B₀, or undefined

 private:
  at::Tensor whole_A() const;  // (r, in), or A over A₀ (2r, in)
  at::Tensor whole_B() const;  // (out, r), or B beside −B₀ (out, 2r)

  double scaling_, dropout_;
};

// LoRA on a lookup: id ↦ W[id] + s·(Aᵀ[id])·Bᵀ, times the base's own scale, with A (r, V), B (H, r) and s of
// lora_scaling. At first A is zero and B normal, as in PEFT. As a tied head it is x ↦ x·Wᵀ + s·dropout(x)·B·A: one pair
// is used for both. A lookup has no dropout, as in PEFT.
class LoraEmbedding final : public AdapterEmbedding {
 public:
  LoraEmbedding(std::shared_ptr<Embedding> base, const LayerOptions& options);
  at::Tensor forward(const at::Tensor& input_ids) const override;
  at::Tensor project(const at::Tensor& hidden) const override;
  ParameterRole role() const override { return ParameterRole::kAdapter; }
  at::Tensor merged_weight() const override;
  std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const override;
  std::vector<std::pair<std::string, at::Tensor>> tied_head_tensors() const override;
  std::optional<double> alpha() const override { return alpha_; }
  std::string description() const override;

  at::Tensor lora_embedding_A, lora_embedding_B;

 private:
  int64_t rank_;
  double alpha_, scaling_, dropout_;
};

Method lora_method();
Method rslora_method();

}  // namespace lora
