// Exports the merged model as one TorchScript file. It is compiled from source, not traced, so any batch and length
// works.
//
//   m = torch.jit.load("merged.pt")           torch::jit::load("merged.pt")
//   m(input_ids)                              (B, T) int64 -> logits (B, T, V)
//   m.generate(input_ids, 32)                 (B, T) -> (B, T + n), greedy; temperature, top_p and eos_token_id follow
//
// A classifier: m(input_ids) or m(input_ids, lengths) -> logits (B, labels). They are read at the last token of each
// row, or at token lengths[i] - 1 of row i if rows are padded on the right with any token; lengths (B) int64.
//
// With outtype int8, the layers' projections are int8 rows with one float32 scale each (quantization/int8.h).
// Embedding, head and norms keep their dtype.
//
// Modules have Hugging Face's names, so state_dict() has the original keys. config.json and the tokenizer are extra
// files.

#include <ATen/ATen.h>
#include <fcntl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/script.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>

#include "lora/adapters/merged.h"
#include "lora/data/chat_template.h"
#include "lora/export/torchscript_source.h"
#include "lora/export/verify.h"
#include "lora/quantization/int8.h"
#include "lora/quantization/quantized_linear.h"
#include "models/base/atomic_file.h"
#include "models/base/error.h"
#include "models/base/file_descriptor.h"
#include "models/base/out_of_memory.h"
#include "models/base/read_file.h"
#include "models/network/rope.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
namespace jit = torch::jit;

// Builds the module tree. Layers share types, so each kind of module is compiled once, regardless of the depth.
class Builder {
 public:
  Builder(const LlamaForCausalLM& model, bool int8)
      : config_(model.config()), int8_(int8), unit_(std::make_shared<jit::CompilationUnit>()) {
    for (LazyTensor& tensor : merged_tensors(model)) tensors_.emplace(tensor.name, std::move(tensor.make));
  }

  jit::Module build() {
    if (!config_.labels.empty()) {
      jit::Module classifier("__torch__.LlamaForSequenceClassification", unit_);
      classifier.register_module("model", model());
      classifier.register_module("score", linear("score"));
      classifier.define(script::classifier());
      return classifier;
    }
    jit::Module root("__torch__.LlamaForCausalLM", unit_);
    root.register_module("model", model());
    if (!config_.tie_word_embeddings) root.register_module("lm_head", linear("lm_head"));
    root.define(script::language_model(config_));
    return root;
  }

 private:
  // Creates a module. Its type is compiled from its source on first use. `fill` registers its tensors.
  jit::Module make(const std::string& type, const std::string& source,
                   const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                   const std::vector<std::pair<std::string, jit::Module>>& children) {
    const auto known = types_.find(type);
    if (known != types_.end()) {
      jit::Module module(unit_, known->second);
      for (const auto& [name, tensor] : parameters) module.setattr(name, tensor);
      for (const auto& [name, child] : children) module.setattr(name, child._ivalue());
      return module;
    }
    jit::Module module("__torch__." + type, unit_);
    for (const auto& [name, tensor] : parameters) {
      module.register_parameter(name, tensor, /*is_buffer=*/!tensor.is_floating_point());
    }
    for (const auto& [name, child] : children) module.register_module(name, child);
    if (!source.empty()) module.define(source);
    types_[type] = module.type();
    return module;
  }

  at::Tensor tensor(const std::string& name) const { return tensors_.at(name)().cpu(); }

  jit::Module linear(const std::string& path) {
    const bool bias = tensors_.contains(path + ".bias"), int8 = int8_ && layer_of(path);
    at::Tensor weight = tensor(path + ".weight");
    std::vector<std::pair<std::string, at::Tensor>> parameters;
    if (int8) {
      const Int8Weight rows(weight, weight.scalar_type());
      parameters = {{"weight", rows.codes()}, {"scale", rows.steps()}};
    } else {
      parameters = {{"weight", weight}};
    }
    if (bias) parameters.emplace_back("bias", tensor(path + ".bias"));
    return make(std::string(int8 ? "Int8" : "") + (bias ? "LinearWithBias" : "Linear"), script::linear(bias, int8),
                parameters, {});
  }

  jit::Module norm(const std::string& path) {
    return make("RMSNorm", script::norm(config_), {{"weight", tensor(path + ".weight")}}, {});
  }

  using Children = std::vector<std::pair<std::string, jit::Module>>;

  jit::Module layer(int64_t index) {
    const std::string path = std::string(kLayersPath) + std::to_string(index);
    const LayerStructure structure = layer_structure(config_, config_.layers[static_cast<size_t>(index)]);
    const std::string kind = script::layer_kind(structure);
    std::map<std::string, Children> held;  // by module; "": by the layer itself
    for (const ProjectionShape& one : structure.projections) {
      held[one.module()].emplace_back(one.name, linear(path + "." + one.path()));
    }
    for (const NormShape& one : structure.norms) {
      held[one.module()].emplace_back(one.name, norm(path + "." + one.path()));
    }
    Children children = {
        {kAttentionModule, make("Attention" + kind, script::attention(structure), {}, held[kAttentionModule])},
        {kMlpModule, make("Mlp", script::mlp(structure), {}, held[kMlpModule])}};
    children.insert(children.end(), held[""].begin(), held[""].end());
    return make("DecoderLayer" + kind, script::layer(structure), {}, children);
  }

  jit::Module model() {
    Children layers;
    for (int64_t i = 0; i < config_.num_hidden_layers; ++i) layers.emplace_back(std::to_string(i), layer(i));
    const at::Tensor embeddings = tensor("model.embed_tokens.weight");
    double scale = config_.embedding_scale;
    if (config_.round_embedding_scale) scale = at::scalar_tensor(scale, embeddings.scalar_type()).item<double>();
    jit::Module module("__torch__.LlamaModel", unit_);
    module.register_module("embed_tokens", make("Embedding", script::embedding(scale), {{"weight", embeddings}}, {}));
    module.register_module("layers", make("Layers", "", {}, layers));
    module.register_module("norm", norm("model.norm"));
    module.register_buffer("inv_freq", rope_frequencies(config_.rope, config_.head_dim));
    if (script::has_long(config_)) {
      module.register_buffer("long_inv_freq", rope_frequencies(config_.rope, config_.head_dim, /*long_context=*/true));
    }
    if (script::has_local(config_)) {
      module.register_buffer("local_inv_freq", rope_frequencies(config_.local_rope, config_.head_dim));
    }
    module.define(script::model(config_));
    return module;
  }

  const ModelConfig& config_;
  const bool int8_;
  std::map<std::string, std::function<at::Tensor()>> tensors_;  // computed (merged) when called
  std::shared_ptr<jit::CompilationUnit> unit_;
  std::map<std::string, c10::ClassTypePtr> types_;
};

// The trained model with its layers' projections merged and rounded as in an int8 file.
std::shared_ptr<LlamaForCausalLM> rounded_twin(const LlamaForCausalLM& model) {
  const auto twin = bare_twin(model);
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    const auto linear = std::dynamic_pointer_cast<Linear>(item.value());
    if (!linear || !layer_of(item.key()) || item.key().ends_with(".base_layer")) continue;
    const auto adapter = std::dynamic_pointer_cast<AdapterLinear>(linear);
    const at::Tensor weight = (adapter ? adapter->merged_weight() : linear->weight_matrix()).to(model.dtype());
    const auto rounded = std::make_shared<Int8Weight>(weight.cpu(), model.dtype(), model.device());
    twin->replace(item.key(), std::make_shared<QuantizedLinear>(rounded, linear->bias_vector()));
  }
  twin->eval();
  return twin;
}

// The file holds the rounded model, up to the bound of a merged one. The user judges its distance from the trained
// model.
std::string verify_int8(const ExportSource& source, const Logits& written) {
  const at::NoGradGuard no_grad;
  const auto rounded = rounded_twin(source.model());
  AdaptedModel bare;
  bare.model = rounded;
  const ExportSource twin{bare, source.model_directory, source.tokenizer_files, source.tokenizer, source.options};
  verify_logits(twin, written, merged_bound(source.model()), merged_rounding(source.model()));
  return "layers as int8; " + verify_logits(source, written, std::numeric_limits<double>::infinity(), "int8");
}

// Writes the module. LibTorch writes the end of the archive in a destructor, and a failed write there would end the
// process. So LibTorch hears of no failure, and what failed first is thrown afterwards.
void save(const jit::Module& module, const fs::path& path, const jit::ExtraFilesMap& extra,
          const ExportSource& source) {
  size_t total = 0, done = 0;
  for (const at::Tensor& tensor : module.parameters()) total += tensor.nbytes();
  for (const at::Tensor& tensor : module.buffers()) total += tensor.nbytes();
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) throw_storage_error(path, "write", errno);
  std::optional<StorageError> failed;
  const auto write = [&](const void* data, size_t size) {
    try {
      if (!failed) write_all(file.get(), data, size, path);
      done = std::min(done + size, total);  // a little more is written
      if (source.on_bytes) source.on_bytes(static_cast<int64_t>(done), static_cast<int64_t>(total));
    } catch (const StorageError& error) {
      failed = error;
    }
    return size;
  };
  jit::ExportModule(module, write, extra);
  if (failed) throw *failed;
}

// LibTorch deprecates TorchScript since 2.10, so the Hugging Face directory DIR/NAME is written beside DIR/NAME.pt:
// torch.export reads that. Empty where the name has no extension.
fs::path huggingface_beside(const ExportOptions& options, const fs::path& output) {
  return options.huggingface_beside && output.has_extension() ? fs::path(output).replace_extension() : fs::path();
}

std::string write_torchscript(const ExportSource& source, const fs::path& output) {
  const bool int8 = source.options.outtype == "int8";
  jit::Module module = Builder(source.model(), int8).build();
  module.eval();

  jit::ExtraFilesMap extra;
  extra["config.json"] = merged_config(source);
  for (const fs::path& file : source.tokenizer_files) extra[file.filename().string()] = read_file(file);
  if (source.chat) extra["chat_template.jinja"] = source.chat->files().text;

  std::string line;
  write_file(output, [&](const fs::path& file) {
    try {
      save(module, file, extra, source);
      jit::Module written = jit::load(file.string());
      const Logits logits = [&](const at::Tensor& ids) { return written.forward({ids}).toTensor(); };
      line = int8 ? verify_int8(source, logits)
                  : verify_logits(source, logits, merged_bound(source.model()), merged_rounding(source.model()));
    } catch (const Error&) {
      throw;
    } catch (const std::exception& e) {
      if (is_out_of_memory(e)) throw;
      throw StorageError(output.string() + ": cannot write the TorchScript file: " + e.what());
    }
  });
  const fs::path beside = huggingface_beside(source.options, output);
  if (beside.empty()) return line;
  ExportSource same = source;
  same.options.outtype = "auto";
  return line + "; beside it " + beside.string() + ": " + export_as("huggingface", same, beside);
}

}  // namespace

ExportFormat torchscript_format() {
  return {.name = "torchscript",
          .default_name = "merged.pt",
          .write = write_torchscript,
          .outtypes = {"auto", "int8"},
          .beside = huggingface_beside,
          .elsewhere = {"jit"}};
}

ExportFormat torchscript_int8_format() {
  const auto write = [](const ExportSource& source, const fs::path& output) {
    ExportSource chosen = source;
    chosen.options.outtype = "int8";
    chosen.options.huggingface_beside = false;
    return write_torchscript(chosen, output);
  };
  return {.name = "torchscript-int8", .default_name = "merged-int8.pt", .write = write, .elsewhere = {"int8"}};
}

}  // namespace lora
