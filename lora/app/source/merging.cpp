#include "lora/app/source/merging.h"

#include <ATen/ATen.h>

#include <map>
#include <utility>

#include "lora/adapters/inject.h"
#include "lora/adapters/merged.h"
#include "lora/adapters/peft.h"
#include "lora/export/verify.h"
#include "lora/quantization/quantizer.h"
#include "lora/terminal/busy.h"

namespace lora {
namespace {

// A network of the merged weights alone.
std::shared_ptr<LlamaForCausalLM> merged_model(const LlamaForCausalLM& model) {
  std::map<std::string, at::Tensor> tensors;
  for_each_merged_tensor(model, [&](const std::string& name, const at::Tensor& t) { tensors.emplace(name, t); });
  return std::make_shared<LlamaForCausalLM>(model.config(), model.dtype(),
                                            [&](const std::string& name, at::IntArrayRef) { return tensors.at(name); });
}

// On fixed ids.
LogitDifference difference_of(LlamaForCausalLM& found, LlamaForCausalLM& expected) {
  const at::NoGradGuard no_grad;
  found.eval();
  expected.eval();
  constexpr int64_t kRows = 4, kLength = 64;
  const int64_t vocab = expected.config().vocab_size;
  const at::Tensor ids = (at::arange(kRows * kLength, at::kLong) * 7919 + 13).remainder(vocab).view({kRows, kLength});
  return logit_difference(found.forward(ids), expected.forward(ids));
}

}  // namespace

TrainedModel on_original_base(const ExportSource& source, const BaseSource& base) {
  TrainedModel original;
  original.section = base.model;
  original.section.quantization = "none";
  original.seed = base.seed;
  original.tokenizer = load_tokenizer(base.model.path, base.model.new_tokens);
  original.chat = source.chat;
  AdapterConfig config = source.adapted.config;
  config.init_from.clear();  // the trained weights follow
  original.adapted =
      inject(load_model(original.section, *original.tokenizer, base.seed, source.model().config().labels), config,
             base.seed, /*fresh=*/false);
  copy_trained_tensors(source.adapted, original.adapted);
  return original;
}

std::string write_export(const std::string& format, const ExportSource& trained, const BaseSource& base, MergeInto into,
                         const std::filesystem::path& output, const Console& shown, const std::string& owner) {
  const ExportFormat& chosen = export_format(format);
  const auto title = [&](const std::string& work, const std::filesystem::path& path) {
    return owner + work + " " + path.filename().string();
  };
  Busy busy(title("writing", output), shown);
  std::filesystem::path written = output;
  bool checked = false;
  ExportSource source = trained;
  source.on_check = [&] {
    busy.next(title("checking", written));
    checked = true;
  };
  source.on_bytes = [&](int64_t done, int64_t total) {
    if (std::exchange(checked, false)) {  // what follows is the second place
      if (chosen.beside) written = chosen.beside(trained.options, output);
      busy.next(title("writing", written));
    }
    busy.at_bytes(done, total);
  };
  const auto quantized = quantized_modules(source.model());
  if (!chosen.merges || quantized.empty()) {
    return export_as(format, source, output);
  }
  const std::string encoding = quantized.front().layer->quantized_weight().encoding();
  if (into == MergeInto::kDequantized) {
    const std::string line = export_as(format, source, output);
    busy.next(owner + "comparing the merged model");
    const LogitDifference difference = difference_of(*merged_model(source.model()), source.model());
    return line + "; merged into the dequantized weights, whose logits " + difference_text(difference) +
           " from those trained on " + encoding + ": " +
           difference_verdict(difference, merged_rounding(source.model()));
  }
  busy.next(owner + "reading the original weights");
  const TrainedModel original = on_original_base(source, base);
  busy.next(title("writing", output));
  ExportSource merged = export_source(original, source.options);
  merged.on_bytes = source.on_bytes;
  merged.on_check = source.on_check;
  const std::string line = export_as(format, merged, output);
  busy.next(owner + "comparing the merged model");
  const LogitDifference difference = difference_of(*original.adapted.model, source.model());
  return line + "; merged into the original weights, whose logits " + difference_text(difference) +
         " from those trained on " + encoding + ": what " + encoding +
         " rounds away of the base, as for every adapter that is trained so";
}

}  // namespace lora
