// The merged model as one TorchScript file, compiled from source rather than traced: any batch and length works.
//
//   m = torch.jit.load("merged.pt")           torch::jit::load("merged.pt")
//   m(input_ids)                              (B, T) int64 -> logits (B, T, V)
//   m.generate(input_ids, 32)                 (B, T) -> (B, T + n), greedy; temperature, top_p and eos_token_id follow
//
// A classifier: m(input_ids) or m(input_ids, lengths) -> logits (B, labels), read at the last token of each row, or at
// token lengths[i] - 1 of row i where rows are filled up on the right with whatever token; lengths (B) int64.
//
// Modules have Hugging Face's names, so that state_dict() reads like the original's. config.json and the tokenizer
// travel as extra files.

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/script.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "lora/export/export.h"
#include "models/error.h"
#include "models/io/atomic_file.h"
#include "models/ops/rope.h"

namespace lora {
namespace {

namespace fs = std::filesystem;
namespace jit = torch::jit;

using Tensors = std::map<std::string, at::Tensor>;

// Puts "{name}" placeholders of a source text to values.
std::string fill_in(std::string text, const std::map<std::string, std::string>& values) {
  for (const auto& [name, value] : values) {
    const std::string key = "{" + name + "}";
    for (size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + value.size())) {
      text.replace(at, key.size(), value);
    }
  }
  return text;
}

std::string number(double value) {
  std::ostringstream out;
  out.precision(17);
  out << std::scientific << value;
  return out.str();
}

constexpr const char* kEmbedding = R"(
def forward(self, input_ids: Tensor) -> Tensor:
    return torch.embedding(self.weight, input_ids)
)";

constexpr const char* kLinear = R"(
def forward(self, x: Tensor) -> Tensor:
    return torch.linear(x, self.weight)
)";

constexpr const char* kLinearBias = R"(
def forward(self, x: Tensor) -> Tensor:
    return torch.linear(x, self.weight, self.bias)
)";

constexpr const char* kRmsNorm = R"(
def forward(self, x: Tensor) -> Tensor:
    wide = x.to(6)
    scale = torch.rsqrt(wide.pow(2).mean([-1], True) + {eps})
    return self.weight * (wide * scale).to(x.dtype)
)";

// ScalarType numbers stand for dtypes here (6 float32, 11 bool), as in TorchScript's own files: source given to
// define() knows no torch.float32.
//
// `cache` is empty, or holds each layer's keys and values (B, kv_heads, S, D), which grow by this call's.
constexpr const char* kAttention = R"(
def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: List[Tensor], layer: int) -> Tensor:
    b, t = x.size(0), x.size(1)
    q = self.rotate(self.q_proj.forward(x).view([b, t, {heads}, {dim}]).transpose(1, 2), cos, sin)
    k = self.rotate(self.k_proj.forward(x).view([b, t, {kv_heads}, {dim}]).transpose(1, 2), cos, sin)
    v = self.v_proj.forward(x).view([b, t, {kv_heads}, {dim}]).transpose(1, 2)
    if len(cache) > 0:
        k = torch.cat([cache[2 * layer], k], 2)
        v = torch.cat([cache[2 * layer + 1], v], 2)
        cache[2 * layer] = k
        cache[2 * layer + 1] = v
    if {groups} > 1:
        k = k.repeat_interleave({groups}, 1)
        v = v.repeat_interleave({groups}, 1)
    y = torch.scaled_dot_product_attention(q, k, v, None, 0.0, t > 1)
    return self.o_proj.forward(y.transpose(1, 2).reshape([b, t, {heads} * {dim}]))
)";

constexpr const char* kMlp = R"(
def forward(self, x: Tensor) -> Tensor:
    return self.down_proj.forward(torch.silu(self.gate_proj.forward(x)) * self.up_proj.forward(x))
)";

constexpr const char* kLayer = R"(
def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: List[Tensor], layer: int) -> Tensor:
    x = x + self.self_attn.forward(self.input_layernorm.forward(x), cos, sin, cache, layer)
    return x + self.mlp.forward(self.post_attention_layernorm.forward(x))
)";

constexpr const char* kModel = R"(
def forward(self, input_ids: Tensor, cache: List[Tensor], past: int) -> Tensor:
    x = self.embed_tokens.forward(input_ids)
    positions = torch.arange(past, past + input_ids.size(1), dtype=6, device=x.device)
    angles = positions.unsqueeze(1) * self.inv_freq.unsqueeze(0)
    cos = angles.cos().to(x.dtype)
    sin = angles.sin().to(x.dtype)
{layers}
    return self.norm.forward(x)
)";

constexpr const char* kRoot = R"(
def forward(self, input_ids: Tensor) -> Tensor:
    cache: List[Tensor] = []
    return self.logits(self.model.forward(input_ids, cache, 0))

def pick(self, logits: Tensor, temperature: float, top_p: float) -> Tensor:
    if temperature <= 0.0:
        return logits.argmax(-1, True)
    p = torch.softmax(logits.to(6) / temperature, -1)
    if top_p < 1.0:
        ordered, index = p.sort(-1, True)
        before = ordered.cumsum(-1) - ordered
        p = torch.zeros_like(p).scatter(-1, index, ordered.masked_fill(before >= top_p, 0.0))
    return torch.multinomial(p, 1)

def generate(self, input_ids: Tensor, max_new_tokens: int = 64, temperature: float = 0.0, top_p: float = 1.0, eos_token_id: int = {eos}) -> Tensor:
    cache: List[Tensor] = []
    for i in range({layer_count}):
        empty = self.model.embed_tokens.weight.new_zeros([input_ids.size(0), {kv_heads}, 0, {dim}])
        cache.append(empty)
        cache.append(empty)
    tokens = input_ids
    step = input_ids
    done = torch.zeros([input_ids.size(0), 1], dtype=11, device=input_ids.device)
    past = 0
    for i in range(max_new_tokens):
        hidden = self.model.forward(step, cache, past)
        past = past + step.size(1)
        step = self.pick(self.logits(hidden[:, -1]), temperature, top_p)
        if eos_token_id >= 0:
            step = torch.where(done, torch.full_like(step, eos_token_id), step)
            done = torch.logical_or(done, step == eos_token_id)
        tokens = torch.cat([tokens, step], 1)
        if eos_token_id >= 0:
            if bool(done.all()):
                break
    return tokens
)";

constexpr const char* kOwnHead = R"(
def logits(self, hidden: Tensor) -> Tensor:
    return self.lm_head.forward(hidden)
)";

constexpr const char* kTiedHead = R"(
def logits(self, hidden: Tensor) -> Tensor:
    return torch.linear(hidden, self.model.embed_tokens.weight)
)";

constexpr const char* kClassifier = R"(
def forward(self, input_ids: Tensor, lengths: Optional[Tensor] = None) -> Tensor:
    cache: List[Tensor] = []
    hidden = self.model.forward(input_ids, cache, 0)
    if lengths is None:
        last = hidden[:, -1]
    else:
        last = hidden[torch.arange(hidden.size(0), device=hidden.device), lengths - 1]
    return self.score.forward(last)
)";

// Builds the module tree. Layers share their types, so that each kind of module is compiled once, whatever the depth.
class Builder {
 public:
  Builder(const ModelConfig& config, const Tensors& tensors)
      : config_(config), tensors_(tensors), unit_(std::make_shared<jit::CompilationUnit>()) {}

  jit::Module build() {
    if (!config_.labels.empty()) {
      jit::Module classifier("__torch__.LlamaForSequenceClassification", unit_);
      classifier.register_module("model", model());
      classifier.register_module("score", linear("score"));
      classifier.define(kClassifier);
      return classifier;
    }
    jit::Module root("__torch__.LlamaForCausalLM", unit_);
    root.register_module("model", model());
    if (!config_.tie_word_embeddings) root.register_module("lm_head", linear("lm_head"));
    root.define(config_.tie_word_embeddings ? kTiedHead : kOwnHead);
    const int64_t eos = config_.eos_token_ids.empty() ? -1 : config_.eos_token_ids.front();
    root.define(fill_in(kRoot, {{"eos", std::to_string(eos)},
                                {"layer_count", std::to_string(config_.num_hidden_layers)},
                                {"kv_heads", std::to_string(config_.num_key_value_heads)},
                                {"dim", std::to_string(config_.head_dim)}}));
    return root;
  }

 private:
  // A module of a type that is made, with its source, the first time it is asked for. `fill` registers what it holds.
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
    for (const auto& [name, tensor] : parameters) module.register_parameter(name, tensor, /*is_buffer=*/false);
    for (const auto& [name, child] : children) module.register_module(name, child);
    if (!source.empty()) module.define(source);
    types_[type] = module.type();
    return module;
  }

  at::Tensor tensor(const std::string& name) const { return tensors_.at(name).detach(); }

  jit::Module linear(const std::string& path) {
    const bool bias = tensors_.contains(path + ".bias");
    std::vector<std::pair<std::string, at::Tensor>> parameters = {{"weight", tensor(path + ".weight")}};
    if (bias) parameters.emplace_back("bias", tensor(path + ".bias"));
    return make(bias ? "LinearWithBias" : "Linear", bias ? kLinearBias : kLinear, parameters, {});
  }

  jit::Module norm(const std::string& path) {
    return make("RMSNorm", fill_in(kRmsNorm, {{"eps", number(config_.rms_norm_eps)}}),
                {{"weight", tensor(path + ".weight")}}, {});
  }

  jit::Module layer(const std::string& path) {
    const std::map<std::string, std::string> shape = {
        {"heads", std::to_string(config_.num_attention_heads)},
        {"kv_heads", std::to_string(config_.num_key_value_heads)},
        {"groups", std::to_string(config_.num_attention_heads / config_.num_key_value_heads)},
        {"dim", std::to_string(config_.head_dim)}};
    const std::string attention = path + ".self_attn", mlp = path + ".mlp";
    return make("DecoderLayer", kLayer, {},
                {{"self_attn", make("Attention", fill_in(kAttention, shape), {},
                                    {{"q_proj", linear(attention + ".q_proj")},
                                     {"k_proj", linear(attention + ".k_proj")},
                                     {"v_proj", linear(attention + ".v_proj")},
                                     {"o_proj", linear(attention + ".o_proj")}})},
                 {"mlp", make("Mlp", kMlp, {},
                              {{"gate_proj", linear(mlp + ".gate_proj")},
                               {"up_proj", linear(mlp + ".up_proj")},
                               {"down_proj", linear(mlp + ".down_proj")}})},
                 {"input_layernorm", norm(path + ".input_layernorm")},
                 {"post_attention_layernorm", norm(path + ".post_attention_layernorm")}});
  }

  jit::Module model() {
    std::vector<std::pair<std::string, jit::Module>> layers;
    std::string calls;
    for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
      const std::string index = std::to_string(i);
      layers.emplace_back(index, layer("model.layers." + index));
      calls += "    x = getattr(self.layers, \"" + index + "\").forward(x, cos, sin, cache, " + index + ")\n";
    }
    jit::Module module("__torch__.LlamaModel", unit_);
    module.register_module("embed_tokens",
                           make("Embedding", kEmbedding, {{"weight", tensor("model.embed_tokens.weight")}}, {}));
    module.register_module("layers", make("Layers", "", {}, layers));
    module.register_module("norm", norm("model.norm"));
    module.register_buffer("inv_freq", rope_frequencies(config_.rope, config_.head_dim));
    module.define(fill_in(kModel, {{"layers", calls}}));
    return module;
  }

  const ModelConfig& config_;
  const Tensors& tensors_;
  std::shared_ptr<jit::CompilationUnit> unit_;
  std::map<std::string, c10::ClassTypePtr> types_;
};

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// Largest difference of logits between the file and the trained model on fixed ids of two lengths; throws where it is
// more than merging can explain: float32 keeps all digits that matter, bfloat16 rounds every merged weight.
double check_written(const fs::path& file, LlamaForCausalLM& model) {
  const at::NoGradGuard no_grad;
  model.eval();
  jit::Module loaded = jit::load(file.string());
  double worst = 0, largest = 1;
  const ModelConfig& config = model.config();
  for (const int64_t length : {1, 23}) {
    const at::Tensor ids =
        (at::arange(2 * length, at::kLong) * 7919 + 13).remainder(config.vocab_size).view({2, length});
    const at::Tensor logits = model.forward(ids).to(at::kFloat);
    const at::Tensor wanted = config.labels.empty() ? logits : logits.select(1, -1);
    const at::Tensor found = loaded.forward({ids}).toTensor().to(at::kFloat);
    worst = std::max(worst, (found - wanted).abs().max().item<double>());
    largest = std::max(largest, wanted.abs().max().item<double>());
  }
  const double bound = largest * (model.dtype() == at::kBFloat16 ? 0.1 : 1e-4);
  if (!(worst <= bound)) {
    throw NumericsError(file.string() + ": the exported logits differ from the trained model's by " +
                        std::to_string(worst) + "; allowed is " + std::to_string(bound));
  }
  return worst;
}

}  // namespace

std::string export_torchscript(const ExportSource& source, const fs::path& output) {
  const std::string& family = source.model.config().model_type;
  if (family != "llama" && family != "qwen2") {
    throw ModelError("a '" + family + "' is not written as TorchScript yet; huggingface writes the merged model");
  }
  Tensors tensors;
  for_each_merged_tensor(
      source.model, [&](const std::string& name, const at::Tensor& tensor) { tensors.emplace(name, tensor.cpu()); });
  jit::Module module = Builder(source.model.config(), tensors).build();
  module.eval();

  jit::ExtraFilesMap extra;
  extra["config.json"] = merged_config(source);
  for (const fs::path& file : source.tokenizer_files) extra[file.filename().string()] = read_file(file);

  const fs::path absolute = fs::absolute(output);
  const fs::path temporary =
      absolute.parent_path() / ("." + absolute.filename().string() + ".tmp-" + std::to_string(::getpid()));
  try {
    fs::create_directories(absolute.parent_path());
    module.save(temporary.string(), extra);
    sync_file(temporary);
    const double difference = check_written(temporary, source.model);
    fs::rename(temporary, absolute);
    sync_directory(absolute.parent_path());
    std::ostringstream line;
    line << "merged logits differ from the trained model's by " << difference << " at most";
    return line.str();
  } catch (const Error&) {
    fs::remove(temporary);
    throw;
  } catch (const std::exception& e) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw StorageError(absolute.string() + ": cannot write the TorchScript file: " + e.what());
  }
}

}  // namespace lora
