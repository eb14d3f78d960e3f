#pragma once
// Rows of embedding and head for tokens that a model's files have no rows for.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>

#include "models/base/names.h"

namespace lora {

// What the rows begin as, as transformers' resize_token_embeddings has it: a draw from the normal distribution with the
// stored rows' mean and 1e-9 of their covariance, or their mean. (Where that covariance is not positive definite, as
// with fewer rows than columns, transformers takes the mean, and so does this.)
enum class NewRowsInit { kCovariance, kMean };
inline const Names& names_of(NewRowsInit) {
  static const Names names = {{"covariance", "mean"}, {{"mean_resizing", "covariance"}}};
  return names;
}

struct NewRows {
  int64_t rows = 0;  // of the network; where its files have as many or more, nothing is added
  // The `count` rows (count, H) that follow the `stored` ones (V, H) of the tensor `name`; called once for each of
  // model.embed_tokens.weight and lm_head.weight, in this order.
  std::function<at::Tensor(const std::string& name, const at::Tensor& stored, int64_t count)> make;
};

// Rows of that beginning. The draw follows from the seed: first the embedding's, then the head's.
NewRows drawn_rows(int64_t rows, NewRowsInit init, uint64_t seed);

}  // namespace lora
