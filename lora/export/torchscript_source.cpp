#include "lora/export/torchscript_source.h"

#include <algorithm>
#include <map>
#include <sstream>

namespace lora::script {
namespace {

// Replaces the "{name}" placeholders of a source text by their values.
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

std::string number(int64_t value) { return std::to_string(value); }

// `line` with indentation and line end where `there`, else nothing.
std::string line_if(bool there, const std::string& line) { return there ? "    " + line + "\n" : ""; }

std::string call(const std::string& module, const std::string& x) { return "self." + module + ".forward(" + x + ")"; }

// The norm's call on `x`, or `x` where the layer has none there.
std::string norm_call(const LayerStructure& layer, NormPlace place, const std::string& x) {
  const NormShape* norm = layer.norm(place);
  return norm ? call(norm->name, x) : x;
}

// The outputs of a group on x, separated by commas: one call for each, or `cut` with the one call for {all} of them.
std::string project(const LayerStructure& layer, ProjectionGroup group, const std::string& cut) {
  const std::vector<ProjectionShape> projections = layer.group(group);
  if (projections.size() == 1) return fill_in(cut, {{"all", call(projections.front().name, "x")}});
  std::string calls;
  for (const ProjectionShape& one : projections) calls += (calls.empty() ? "" : ", ") + call(one.name, "x");
  return calls;
}

std::string soft_cap(const std::string& x, double cap) {
  return "torch.tanh((" + x + ") / " + number(cap) + ") * " + number(cap);
}

}  // namespace

std::string embedding(double scale) {
  return "def forward(self, input_ids: Tensor) -> Tensor:\n    return torch.embedding(self.weight, input_ids)" +
         (scale == 1 ? "" : " * " + number(scale)) + "\n";
}

std::string linear(bool bias, bool int8) {
  const std::string head = "def forward(self, x: Tensor) -> Tensor:\n    return ", added = bias ? ", self.bias" : "";
  if (!int8) return head + "torch.linear(x, self.weight" + added + ")\n";
  return head + "(torch.linear(x, self.weight.to(x.dtype)) * self.scale" + (bias ? " + self.bias" : "") +
         ").to(x.dtype)\n";
}

std::string norm(const ModelConfig& config) {
  const char* weighed = "";
  switch (config.norm_kind) {
    case NormKind::kPlain:
      weighed = "self.weight * unit.to(x.dtype)";
      break;
    case NormKind::kWide:
      weighed = "(self.weight.to(6) * unit).to(x.dtype)";
      break;
    case NormKind::kOnePlus:
      weighed = "((1.0 + self.weight.to(6)) * unit).to(x.dtype)";
      break;
  }
  return fill_in(R"(
def forward(self, x: Tensor) -> Tensor:
    wide = x.to(6)
    unit = wide * torch.rsqrt(wide.pow(2).mean([-1], True) + {eps})
    return {weighed}
)",
                 {{"eps", number(config.rms_norm_eps)}, {"weighed", weighed}});
}

std::string attention(const LayerStructure& layer) {
  const auto [heads, kv_heads, dim] = layer.heads;
  const AttentionScores& scores = layer.scores;
  const int64_t q = heads * dim, kv = kv_heads * dim, groups = heads / kv_heads;
  const NormShape *q_norm = layer.norm(NormPlace::kQueries), *k_norm = layer.norm(NormPlace::kKeys);
  const bool rotates = layer.rope_dim > 0, capped = scores.softcap != 0;

  std::string text;
  if (rotates) {
    text = "\ndef rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:\n";
    text += layer.rope_dim < dim
                ? "    a, b = x[..., :{rotated}].chunk(2, -1)\n"
                  "    return torch.cat([a * cos - b * sin, b * cos + a * sin, x[..., {rotated}:]], -1)\n"
                : "    a, b = x.chunk(2, -1)\n"
                  "    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)\n";
  }
  text += R"(
def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: List[Tensor], layer: int) -> Tensor:
    b, t = x.size(0), x.size(1)
)";
  text +=
      "    q, k, v = " + project(layer, ProjectionGroup::kQkv, "torch.split_with_sizes({all}, [{q}, {kv}, {kv}], -1)") +
      "\n";
  const std::string norms = q_norm ? "q, k = " + call(q_norm->name, "q") + ", " + call(k_norm->name, "k") : "";
  text += line_if(q_norm && !q_norm->per_head, norms);
  text += R"(    q = q.reshape([b, t, {heads}, {dim}])
    k = k.reshape([b, t, {kv_heads}, {dim}])
    v = v.reshape([b, t, {kv_heads}, {dim}]).transpose(1, 2)
)";
  text += line_if(q_norm && q_norm->per_head, norms);
  text += "    q, k = q.transpose(1, 2), k.transpose(1, 2)\n";
  text += line_if(rotates, "q, k = self.rotate(q, cos, sin), self.rotate(k, cos, sin)");
  text += R"(    if len(cache) > 0:
        k = torch.cat([cache[2 * layer], k], 2)
        v = torch.cat([cache[2 * layer + 1], v], 2)
        cache[2 * layer] = k
        cache[2 * layer + 1] = v
)";
  text += line_if(groups > 1, "k, v = k.repeat_interleave({groups}, 1), v.repeat_interleave({groups}, 1)");
  text += line_if(scores.window || capped, "after = k.size(2) - t");
  text += line_if(scores.window || capped,
                  "seen = torch.ones([t, k.size(2)], dtype=11, device=x.device).tril(after)" +
                      (scores.window ? ".triu(after + 1 - " + number(scores.window) + ")" : std::string()));
  if (capped) {
    text += "    scores = " + soft_cap("torch.matmul(q, k.transpose(2, 3)) * {scale}", scores.softcap) + "\n";
    text += R"(    scores = scores.masked_fill(torch.logical_not(seen), -3.0e38)
    y = torch.matmul(torch.softmax(scores, -1, 6).to(q.dtype), v)
)";
  } else {
    text += scores.window ? "    y = torch.scaled_dot_product_attention(q, k, v, seen, 0.0, False, scale={scale})\n"
                          : "    y = torch.scaled_dot_product_attention(q, k, v, None, 0.0, t > 1, scale={scale})\n";
  }
  text += "    return " +
          call(layer.group(ProjectionGroup::kO).front().name, "y.transpose(1, 2).reshape([b, t, {q}])") + "\n";
  return fill_in(text, {{"q", number(q)},
                        {"kv", number(kv)},
                        {"heads", number(heads)},
                        {"kv_heads", number(kv_heads)},
                        {"groups", number(groups)},
                        {"dim", number(dim)},
                        {"rotated", number(layer.rope_dim)},
                        {"scale", number(scores.scale)}});
}

std::string mlp(const LayerStructure& layer) {
  std::string text = "\ndef forward(self, x: Tensor) -> Tensor:\n    gate, up = ";
  text += project(layer, ProjectionGroup::kGateUp, "{all}.chunk(2, -1)");
  text += layer.activation == Activation::kSilu ? "\n    gate = torch.silu(gate)\n"
                                                : "\n    gate = torch.gelu(gate, approximate=\"tanh\")\n";
  return text + "    return " + call(layer.group(ProjectionGroup::kDown).front().name, "gate * up") + "\n";
}

std::string layer(const LayerStructure& layer) {
  const auto add = [&](NormPlace norm) {
    return "    x = x + " + norm_call(layer, norm, "y") +
           (layer.residual_scale == 1 ? "" : " * " + number(layer.residual_scale)) + "\n";
  };
  return "\ndef forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: List[Tensor], layer: int) -> Tensor:\n"
         "    y = " +
         call(kAttentionModule, norm_call(layer, NormPlace::kBeforeAttention, "x") + ", cos, sin, cache, layer") +
         "\n" + add(NormPlace::kAfterAttention) +
         "    y = " + call(kMlpModule, norm_call(layer, NormPlace::kBeforeMlp, "x")) + "\n" +
         add(NormPlace::kAfterMlp) + "    return x\n";
}

std::string layer_kind(const LayerStructure& layer) {
  return std::string(layer.scores.window ? "Window" : "") + (layer.rope_dim == 0 ? "WithoutPositions" : "");
}

bool has_local(const ModelConfig& config) {
  return std::ranges::any_of(config.layers, [](const LayerConfig& l) { return l.positions == Positions::kLocal; });
}

bool has_long(const ModelConfig& config) { return config.rope.type == RopeConfig::Type::kLongRope; }

std::string model(const ModelConfig& config) {
  std::string text = R"(
def forward(self, input_ids: Tensor, cache: List[Tensor], past: int) -> Tensor:
    x = self.embed_tokens.forward(input_ids)
    end = past + input_ids.size(1)
    positions = torch.arange(past, end, dtype=6, device=x.device).unsqueeze(1)
    inv_freq = self.inv_freq
)";
  if (has_long(config)) {
    text += R"(    if end > {original}:
        inv_freq = self.long_inv_freq
        assert past == 0 or past > {original}, "a text grows beyond {original} tokens, where LongRoPE turns all of them otherwise"
)";
  }
  const auto table = [&](const std::string& prefix, const std::string& frequencies, double factor) {
    const std::string scaled = factor == 1 ? "" : " * " + number(factor);
    text += "    angles = positions * " + frequencies + ".unsqueeze(0)\n";
    text += "    " + prefix + "cos = (angles.cos()" + scaled + ").to(x.dtype)\n";
    text += "    " + prefix + "sin = (angles.sin()" + scaled + ").to(x.dtype)\n";
  };
  table("", "inv_freq", config.rope.attention_factor);
  if (has_local(config)) table("local_", "self.local_inv_freq", config.local_rope.attention_factor);
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const std::string index = std::to_string(i);
    const std::string turn = config.layers[i].positions == Positions::kLocal ? "local_cos, local_sin" : "cos, sin";
    text += "    x = getattr(self.layers, \"" + index + "\").forward(x, " + turn + ", cache, " + index + ")\n";
  }
  text += "    return self.norm.forward(x)\n";
  return fill_in(text, {{"original", number(config.rope.original_max_position_embeddings)}});
}

std::string language_model(const ModelConfig& config) {
  std::string head = "\ndef logits(self, hidden: Tensor) -> Tensor:\n    y = ";
  head += config.tie_word_embeddings ? "torch.linear(hidden, self.model.embed_tokens.weight)\n"
                                     : "self.lm_head.forward(hidden)\n";
  head += line_if(config.logit_divisor != 1, "y = y / " + number(config.logit_divisor));
  head += line_if(config.logit_softcap != 0, "y = " + soft_cap("y", config.logit_softcap));
  head += "    return y\n";
  const int64_t eos = config.eos_token_ids.empty() ? -1 : config.eos_token_ids.front();
  return head + fill_in(R"(
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
)",
                        {{"eos", number(eos)},
                         {"layer_count", number(config.num_hidden_layers)},
                         {"kv_heads", number(config.num_key_value_heads)},
                         {"dim", number(config.head_dim)}});
}

std::string classifier() {
  return R"(
def forward(self, input_ids: Tensor, lengths: Optional[Tensor] = None) -> Tensor:
    cache: List[Tensor] = []
    hidden = self.model.forward(input_ids, cache, 0)
    if lengths is None:
        last = hidden[:, -1]
    else:
        last = hidden[torch.arange(hidden.size(0), device=hidden.device), lengths - 1]
    return self.score.forward(last)
)";
}

}  // namespace lora::script
