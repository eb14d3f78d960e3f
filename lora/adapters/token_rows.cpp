#include "lora/adapters/token_rows.h"

#include <ATen/ATen.h>

#include "models/base/error.h"

namespace lora {

TokenRows::TokenRows(std::shared_ptr<Embedding> base, const std::vector<int64_t>& indices)
    : AdapterEmbedding(std::move(base)) {
  const at::NoGradGuard no_grad;
  const at::Tensor w = weight_matrix();
  places_ = at::full({w.size(0)}, -1, at::kLong);
  int64_t next = 0;
  for (const int64_t id : indices) {
    const bool known = id >= 0 && id < w.size(0);
    if (!known || places_[id].item<int64_t>() >= 0) {
      throw AdapterError("trainable_token_indices: " + std::to_string(id) +
                         (known ? " is named twice" : " is none of the " + std::to_string(w.size(0)) + " tokens"));
    }
    places_[id] = next++;
  }
  places_ = places_.to(w.device());
  indices_ = at::tensor(indices, at::kLong).to(w.device());
  // A model without memory, of which a comparison counts the parameters, has nothing to select.
  const at::Tensor own =
      w.is_meta() ? at::empty({indices_.size(0), w.size(1)}, w.options()) : w.index_select(0, indices_);
  trainable_tokens_delta = register_parameter("trainable_tokens_delta", own.to(at::kFloat));
}

at::Tensor TokenRows::forward(const at::Tensor& input_ids) const {
  const at::Tensor y = base_layer()->forward(input_ids);
  const at::Tensor place = places_.index_select(0, input_ids);
  const at::Tensor own = (at::embedding(trainable_tokens_delta, place.clamp_min(0)) * scale()).to(y.scalar_type());
  return at::where((place >= 0).unsqueeze(1), own, y);
}

at::Tensor TokenRows::project(const at::Tensor& hidden) const {
  const at::Tensor own = at::linear(hidden, trainable_tokens_delta.to(hidden.scalar_type()));
  return base_layer()->project(hidden).index_copy(-1, indices_, own);
}

at::Tensor TokenRows::merged_weight() const {
  const at::NoGradGuard no_grad;
  const at::Tensor w = weight_matrix();
  return w.index_copy(0, indices_, trainable_tokens_delta.to(w.scalar_type()));
}

std::vector<std::pair<std::string, at::Tensor>> TokenRows::peft_tensors() const {
  return {{"token_adapter.trainable_tokens_delta", trainable_tokens_delta}};
}

std::string TokenRows::description() const { return std::to_string(indices_.size(0)) + " tokens' rows"; }

}  // namespace lora
