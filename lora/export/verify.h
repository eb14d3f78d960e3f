#pragma once
// Verifies an export: reads the written file, computes logits on real text, and compares them with the trained model.
// An export whose logits differ more than its number format explains is not put in place.

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>

#include "lora/export/export.h"

namespace lora {

struct LogitDifference {
  double largest = 0, mean = 0;  // of |found − expected|
  double scale = 1;              // the largest |expected|, at least 1
};
LogitDifference logit_difference(const at::Tensor& found, const at::Tensor& expected);

// "differ by 0.031 at most, 0.0042 on average"
std::string difference_text(const LogitDifference& difference);

// ids (B, T) int64 -> logits (B, T, V), or (B, V) for a model that reads only the last token.
using Logits = std::function<at::Tensor(const at::Tensor& ids)>;

// Compares with the trained model on a fixed text (several scripts, code, numbers), tokenised by the source's
// tokenizer, or on fixed ids without a tokenizer. Returns a line for the user: "logits of 97 tokens differ by … at
// most, … on average from the trained model's: within what bfloat16 rounds; the likeliest token is the same for 96 of
// 97", or "…: the same numbers". Throws NumericsError if the largest difference exceeds `bound` · scale or is NaN.
// `rounding`: the numbers that explain the bound; with an infinite bound, those that explain a difference.
std::string verify_logits(const ExportSource& source, const Logits& written, double bound, const std::string& rounding);

// What a difference means: "the same numbers", or "within what bfloat16 rounds".
std::string difference_verdict(const LogitDifference& difference, const std::string& rounding);

// The bound for a merged model in its own dtype, and that dtype's name. float32 keeps all significant digits; bfloat16
// rounds every merged weight.
double merged_bound(const LlamaForCausalLM& model);
std::string merged_rounding(const LlamaForCausalLM& model);

// The base of an adapted model as a separate network that shares its weights; the written weights are loaded onto it.
// Weights that were trained in full have their current values: inject() copies them before a change.
std::shared_ptr<LlamaForCausalLM> bare_twin(const LlamaForCausalLM& model);
// The Linear at a path of a model.
std::shared_ptr<Linear> linear_at(const LlamaForCausalLM& model, const std::string& path);

}  // namespace lora
