#pragma once
// Rows of the embedding that are trained while the others stay (PEFT's trainable_token_indices).

#include "lora/adapters/adapter_embedding.h"

namespace lora {

// The rows have values of their own, which begin as the base's.
class TokenRows final : public AdapterEmbedding {
 public:
  // Error (exit code 2) for an index that is named twice or is outside the vocabulary.
  TokenRows(std::shared_ptr<Embedding> base, const std::vector<int64_t>& indices);
  at::Tensor forward(const at::Tensor& input_ids) const override;
  at::Tensor project(const at::Tensor& hidden) const override;
  ParameterRole role() const override { return ParameterRole::kRows; }
  at::Tensor merged_weight() const override;
  std::vector<std::pair<std::string, at::Tensor>> peft_tensors() const override;
  std::string description() const override;

  at::Tensor trainable_tokens_delta;  // (n, H) float32: PEFT's name; the rows themselves, not a difference

 private:
  at::Tensor indices_;  // (n)
  at::Tensor places_;   // (V): an id's place among the rows, -1 for the other ids
};

}  // namespace lora
