#include "lora/export/verify.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "models/base/error.h"
#include "models/network/pretrained.h"

namespace lora {
namespace {

constexpr size_t kLongest = 160;  // tokens

constexpr const char* kText =
    "Once upon a time, in a small village by the sea, there lived a girl who counted the waves: 1, 2, 3, 144, "
    "2,718.28. "
    "\"How many are there?\" she asked her grandfather.\n\n"
    "Der alte Mann lächelte; « personne ne sait », dit-il. Никто не знает. 誰も知らない。 لا أحد يعلم 🌊\n"
    "def wave(t: float) -> float:\n    return math.sin(2 * math.pi * t)  # one a second\n"
    "The answer is that counting never ends, and that evening they walked home together.";

// (1, T)
at::Tensor ids_of(const ExportSource& source) {
  const int64_t vocab = source.model().config().vocab_size;
  if (!source.tokenizer) return (at::arange(64, at::kLong) * 7919 + 13).remainder(vocab).unsqueeze(0);
  std::vector<int64_t> ids;
  if (const auto bos = source.tokenizer->bos_id()) ids.push_back(*bos);
  for (const Token& token : source.tokenizer->encode(kText)) ids.push_back(token.id);
  ids.resize(std::min(ids.size(), kLongest));
  return at::tensor(ids, at::kLong).unsqueeze(0);
}

}  // namespace

LogitDifference logit_difference(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor right = expected.cpu().to(at::kFloat);
  const at::Tensor difference = (found.cpu().to(at::kFloat) - right).abs();
  return {difference.max().item<double>(), difference.mean().item<double>(),
          std::max(1.0, right.abs().max().item<double>())};
}

std::string difference_text(const LogitDifference& difference) {
  std::ostringstream text;
  text.precision(3);
  text << "differ by " << difference.largest << " at most, " << difference.mean << " on average";
  return text.str();
}

std::string difference_verdict(const LogitDifference& difference, const std::string& rounding) {
  return difference.largest == 0 ? "the same numbers" : "within what " + rounding + " rounds";
}

std::string verify_logits(const ExportSource& source, const Logits& written, double bound,
                          const std::string& rounding) {
  if (source.on_check) source.on_check();
  const at::NoGradGuard no_grad;
  source.model().eval();
  const at::Tensor ids = ids_of(source);
  const at::Tensor found = written(ids).cpu(), all = source.model().forward(ids).cpu();
  const at::Tensor expected = found.dim() == 2 ? all.select(1, -1) : all;
  const LogitDifference difference = logit_difference(found, expected);
  const std::string line = "logits of " + std::to_string(ids.size(1)) + " tokens " + difference_text(difference) +
                           " from the trained model's";
  if (std::isnan(difference.largest)) {
    throw NumericsError("the trained model's logits are not finite: " + line + ". Nothing was put in its place");
  }
  if (!(difference.largest <= bound * difference.scale)) {
    throw NumericsError("what was written computes another model: " + line + "; allowed is " +
                        std::to_string(bound * difference.scale) + ". Nothing was put in its place");
  }
  if (difference.largest == 0) return line + ": " + difference_verdict(difference, rounding);
  const at::Tensor same = found.argmax(-1).eq(expected.argmax(-1));
  const char* what = source.model().config().labels.empty() ? "token" : "label";
  const std::string verdict =
      std::isinf(bound) ? "what " + rounding + " rounds away" : difference_verdict(difference, rounding);
  return line + ": " + verdict + "; the likeliest " + what + " is the same for " +
         std::to_string(same.sum().item<int64_t>()) + " of " + std::to_string(same.numel());
}

std::shared_ptr<Linear> linear_at(const LlamaForCausalLM& model, const std::string& path) {
  return std::dynamic_pointer_cast<Linear>(*model.named_modules("", /*include_self=*/false).find(path));
}

namespace {

// Makes a copy of a trained layer for the twin. Otherwise the twin would load the exported weights into the trained
// parameter.
std::shared_ptr<Linear> apart_where_trained(const std::shared_ptr<Linear>& linear) {
  const auto trained = [](const at::Tensor& parameter) { return parameter.requires_grad(); };
  if (std::ranges::none_of(linear->parameters(), trained)) return linear;
  const at::Tensor bias = linear->bias_vector();
  return std::make_shared<DenseLinear>(linear->weight_matrix().detach(), bias.defined() ? bias.detach() : bias);
}

}  // namespace

std::shared_ptr<LlamaForCausalLM> bare_twin(const LlamaForCausalLM& model) {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::shared_ptr<Linear>> linears;
  std::string inside;  // path of the adapter whose base is being traversed
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    if (!inside.empty() && item.key().starts_with(inside + ".")) continue;
    if (const auto linear = std::dynamic_pointer_cast<Linear>(item.value())) {
      const auto adapter = std::dynamic_pointer_cast<AdapterLinear>(linear);
      if (adapter) inside = item.key();
      linears[item.key()] = apart_where_trained(adapter ? adapter->base_layer() : linear);
    } else if (const auto embedding = std::dynamic_pointer_cast<Embedding>(item.value())) {
      if (std::dynamic_pointer_cast<AdapterEmbedding>(embedding)) inside = item.key();
      tensors[item.key() + ".weight"] = embedding->weight_matrix().detach();
    } else {
      for (const auto& parameter : item.value()->named_parameters(/*recurse=*/false)) {
        tensors[item.key() + "." + parameter.key()] = parameter.value().detach();
      }
    }
  }
  if (const auto& head = model.output_head()) {
    const std::string path = head == model.lm_head ? "lm_head" : "score";
    tensors[path + ".weight"] = linears.at(path)->weight_matrix().detach();
  }
  return std::make_shared<LlamaForCausalLM>(
      model.config(), model.dtype(), [&](const std::string& name, at::IntArrayRef) { return tensors.at(name); },
      [&](const std::string& path, int64_t, int64_t, bool) { return linears.at(path); });
}

std::string merged_rounding(const LlamaForCausalLM& model) { return dtype_name(model.dtype()); }

double merged_bound(const LlamaForCausalLM& model) {
  return model.dtype() == at::kBFloat16 ? 0.1 : model.dtype() == at::kHalf ? 0.02 : 1e-4;
}

}  // namespace lora
