#pragma once
// How near what was written is to the trained model: an export reads its own file again, computes with it on real text,
// and is not put in its place where the logits are further off than its number format explains.

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>

#include "lora/export/export.h"

namespace lora {

struct LogitDifference {
  double largest = 0, mean = 0;  // of |found − wanted|
  double scale = 1;              // the largest |wanted|, at least 1
};
LogitDifference logit_difference(const at::Tensor& found, const at::Tensor& wanted);

// "differ by 0.031 at most, 0.0042 on average"
std::string difference_text(const LogitDifference& difference);

// ids (B, T) int64 -> logits (B, T, V); or, of a model that reads only the last token, (B, V).
using Logits = std::function<at::Tensor(const at::Tensor& ids)>;

// Compares with the trained model on a fixed text (several scripts, code, numbers) through the source's tokenizer, and
// without one on fixed ids. Returns a line for the
// person: "logits of 97 tokens differ by … at most, … on average from the trained model's". NumericsError where the
// largest difference is above `bound` · scale, or is no number.
std::string verify_logits(const ExportSource& source, const Logits& written, double bound);

// The bound of a merged model in its own dtype: float32 keeps all digits that matter, bfloat16 rounds every merged
// weight.
double merged_bound(const LlamaForCausalLM& model);

// The base of an adapted model as a network of its own over the same weights, to put what was written onto. Weights
// that were trained whole are in it as they are now; inject() makes copies of those before it changes them.
std::shared_ptr<LlamaForCausalLM> bare_twin(const LlamaForCausalLM& model);
// The Linear at a path of a model.
std::shared_ptr<Linear> linear_at(const LlamaForCausalLM& model, const std::string& path);

}  // namespace lora
