#include "lora/training/memory_plan.h"

#include <algorithm>
#include <vector>

#include "lora/training/gradient_sums.h"
#include "models/base/error.h"
#include "models/base/numbers.h"
#include "models/engine/aten/flash_attention.h"
#include "models/engine/conventions.h"
#include "models/engine/linear_cross_entropy.h"
#include "models/engine/row_counts.h"
#include "models/io/file_view.h"
#include "models/network/pretrained.h"

namespace lora {
namespace {

// LibTorch and the program at work, without any model: measured with LibTorch 2.13 on Linux, within 10 MB.
constexpr int64_t kProcessBytes = 140'000'000;
// What the allocator holds back, and oneDNN's copies of weights in blocks, as a share of activations and workspace.
constexpr double kSlack = 1.25;

// oneDNN's compiled kernels, in bfloat16: a few row counts times the shapes of a layer and of the head.
constexpr int64_t kCompiledBytes = 45'000'000;

constexpr int64_t kManyTokens = 512, kFewTokens = 256;  // fewer make products slower, more make them no faster

// Of cuBLAS and of the allocator's own, on a GPU.
constexpr int64_t kDeviceBytes = 100'000'000;
constexpr int64_t kDeviceTokens[] = {8192, 4096, 2048, 1024};
constexpr int64_t kFewDeviceTokens = 512;

int64_t rank_width(const at::Tensor& a) { return a.defined() ? padded_rank(a.size(0)) : 0; }

// The width of what the projections of one input keep for their magnitudes; 0 where none of them has one.
int64_t magnitude_width(const Linears& group) {
  int64_t width = 0;
  bool any = false;
  for (const auto& linear : group) {
    const std::optional<LinearParts> parts = linear->parts();
    any |= parts && parts->magnitude.defined();
    width += linear->out_features();
  }
  return any ? width : 0;
}

struct Shapes {
  int64_t element;                               // bytes of an activation
  int64_t hidden, qkv, heads, kv, inner, vocab;  // widths; vocab: of the head
  int64_t head_count, padded_dim;
  bool unadapted_head;                     // logits are one product, whose chunks are held one at a time
  int64_t layers, ranks;                   // ranks: of all projections of a layer, padded
  int64_t adapter_inputs;                  // widths of the inputs of A, of all projections whose A is trained
  int64_t magnitudes, gate_up_magnitudes;  // widths kept for magnitudes: of q, k, v, o and down; of gate and up
  int64_t norms, mlp_norm;                 // and for norms: of q, k and attention's output; of the MLP's output
  int64_t capped_scores;                   // bytes of a token and layer, where soft-capped scores are kept whole
  int64_t step_tokens, sum_bytes;          // of a step; of one partial sum of its gradients
  bool is_device, holds_scores;            // whose operations are ATen's; whether attention holds a sample's scores
};

Shapes shapes_of(const LlamaForCausalLM& model) {
  const ModelConfig& c = model.config();
  const auto& layers = model.model->layers;
  const LayerStructure& layer = layers.front()->structure();  // all have the same widths
  Shapes s{};
  s.element = static_cast<int64_t>(c10::elementSize(model.dtype()));
  s.hidden = c.hidden_size;
  s.qkv = layer.out_features(ProjectionGroup::kQkv);
  s.heads = layer.in_features(ProjectionGroup::kO);
  s.kv = layer.heads.kv_heads * layer.heads.dim;
  s.inner = layer.in_features(ProjectionGroup::kDown);
  s.vocab = c.labels.empty() ? c.vocab_size : static_cast<int64_t>(c.labels.size());
  s.head_count = layer.heads.heads;
  s.padded_dim = (layer.heads.dim + 15) / 16 * 16;
  s.unadapted_head = model.unadapted_head_weight().defined();
  s.layers = static_cast<int64_t>(layers.size());
  for (const NormShape& norm : layer.norms) {
    // The backward pass computes the norms before attention and MLP again. It needs the input of the others.
    if (norm.place == NormPlace::kBeforeAttention || norm.place == NormPlace::kBeforeMlp) continue;
    (norm.place == NormPlace::kAfterMlp ? s.mlp_norm : s.norms) += norm.columns;
  }
  for (const auto& one : layers) {
    int64_t ranks = 0, inputs = 0, magnitudes = 0;
    for (const ProjectionGroup group : kProjectionGroups) {
      const Linears& linears = one->projections(group);
      for (const auto& linear : linears) {
        const std::optional<LinearParts> parts = linear->parts();
        if (!parts) continue;
        ranks += rank_width(parts->lora_A) + rank_width(parts->start_A);
        if (parts->lora_A.defined() && parts->lora_A.requires_grad()) inputs += parts->lora_A.size(1);
      }
      if (group != ProjectionGroup::kGateUp) magnitudes += magnitude_width(linears);
    }
    s.ranks = std::max(s.ranks, ranks);
    s.adapter_inputs = std::max(s.adapter_inputs, inputs);
    s.magnitudes = std::max(s.magnitudes, magnitudes);
    s.gate_up_magnitudes = std::max(s.gate_up_magnitudes, magnitude_width(one->projections(ProjectionGroup::kGateUp)));
  }
  return s;
}

// Elements kept of a token and layer besides the layer's input.
int64_t kept_beyond_input(const Shapes& s, Recompute level) {
  const int64_t without_gate_up = s.qkv + s.heads + s.hidden + s.magnitudes + s.norms;
  switch (level) {
    case Recompute::kNone:
      return without_gate_up + 2 * s.inner + s.gate_up_magnitudes + s.mlp_norm;
    case Recompute::kGateUp:
      return without_gate_up;
    case Recompute::kLayer:
      return 0;
  }
  return 0;
}

int64_t activation_bytes(const Shapes& s, int64_t tokens, Recompute level, bool fused) {
  if (!fused) {
    // Autograd keeps the input of every operation: roughly, with norms and adapters in float32. That of A is a copy of
    // its own in half precision, and not kept at all where A is frozen (LoRA-FA); a fused layer keeps none of them.
    const int64_t inputs = s.element < 4 ? 4 * s.adapter_inputs : 0;
    return tokens * s.layers *
           (s.element * (8 * s.hidden + 3 * s.qkv + 2 * s.heads + 6 * s.inner) + 8 * s.hidden + inputs +
            s.capped_scores);
  }
  const int64_t log_sums = level == Recompute::kLayer ? 0 : 4 * s.head_count;
  const int64_t token = s.element * (s.hidden + kept_beyond_input(s, level)) + 4 * s.ranks + log_sums;
  return tokens * (s.layers * token + s.element * s.hidden);
}

// What ATen's operations (models/engine/aten/) make at once beside their results: wide copies of activations, of which
// those of the gated activation's gradient are the most; and of attention the scores of one sample, several times over.
int64_t aten_bytes(const Shapes& s, int64_t tokens, int64_t longest) {
  const int64_t widest = std::max({10 * s.inner, 3 * s.qkv, 6 * s.hidden});
  const int64_t scores = s.holds_scores ? s.head_count * longest * longest : 0;
  return 4 * std::max(tokens * widest, (s.capped_scores > 0 ? 8 : 6) * scores);
}

// The larger of what the backward pass of one layer and what the head hold beside the kept activations.
int64_t workspace_bytes(const Shapes& s, int64_t tokens, int64_t longest, Recompute level) {
  const int64_t again = kept_beyond_input(s, Recompute::kNone) - kept_beyond_input(s, level);
  const int64_t gradients = s.element * (again + s.inner + 3 * s.hidden + s.qkv + s.heads + s.gate_up_magnitudes);
  const int64_t attention = 4 * (2 * s.head_count * s.padded_dim) + 4 * 3 * (s.kv + 16);
  const int64_t layer = tokens * (gradients + attention);
  // An adapted head holds all logits: the base's and the adapter's, their sum, its softmax and gradient.
  const int64_t rows = s.unadapted_head ? linear_cross_entropy_chunk(tokens, s.vocab) : tokens;
  // ATen's loss makes log-probabilities and what goes into them beside the logits.
  const int64_t chunk_element = s.element + (s.is_device ? 2 * 4 : 0);
  const int64_t logits = rows * s.vocab * (s.unadapted_head ? chunk_element : 2 * s.element + 4 * 4);
  const int64_t head = logits + 3 * tokens * s.hidden * 4;
  return std::max(layer + (s.is_device ? aten_bytes(s, tokens, longest) : 0), head);
}

// Bytes of weights that a run which releases weights need not hold: the file's weights of fused layers and of a plain
// head, less the most that are read at once. Weights on the meta device stand for a file's, in the dtype of config.json.
int64_t releasable_bytes(const LlamaForCausalLM& model) {
  const bool as_stored = model.config().dtype == dtype_name(model.dtype());
  const auto bytes = [&](const at::Tensor& weight) -> int64_t {
    if (!weight.defined() || weight.requires_grad()) return 0;
    return is_file_view(weight) || (weight.is_meta() && as_stored) ? static_cast<int64_t>(weight.nbytes()) : 0;
  };
  int64_t at_once = bytes(model.unadapted_head_weight()), all = at_once;
  for (const auto& layer : model.model->layers) {
    const bool fused = std::holds_alternative<FusedLayerParts>(layer->fused_form(model.dtype()));
    if (!fused && !model.device().is_meta()) continue;
    int64_t of_layer = 0;
    for (const ProjectionGroup group : kProjectionGroups) {
      for (const auto& linear : layer->projections(group)) {
        if (const auto parts = linear->parts()) of_layer += bytes(parts->weight.dense());
      }
    }
    all += of_layer;
    at_once = std::max(at_once, of_layer);
  }
  return all - at_once;
}

MemoryPlan with_released_weights(MemoryPlan plan, int64_t bytes) {
  plan.execution.release_weights = bytes > 0;
  plan.weights -= bytes;
  return plan;
}

// The frozen weights of the layers' projections, in bytes.
struct LayerBytes {
  int64_t all = 0, largest = 0;  // of the largest layer
  int64_t widest = 0;            // elements of the largest projection
  bool trained = false;          // one of them is trained
};

LayerBytes layer_bytes(const LlamaForCausalLM& model) {
  LayerBytes found;
  for (const auto& layer : model.model->layers) {
    int64_t bytes = 0;
    for (const ProjectionGroup group : kProjectionGroups) {
      for (const auto& linear : layer->projections(group)) {
        const WeightHandle weight = linear->weight_handle();
        found.widest = std::max(found.widest, weight.out_features() * weight.in_features());
        bytes += weight.packed() ? weight.packed()->bytes() : static_cast<int64_t>(weight.dense().nbytes());
        found.trained |= !weight.packed() && weight.dense().requires_grad();
      }
    }
    found.all += bytes;
    found.largest = std::max(found.largest, bytes);
  }
  return found;
}

// Whether fewer bytes are on the device where the layers are fetched into two blocks.
bool can_be_fetched(const LayerBytes& layers) { return !layers.trained && layers.all > 2 * layers.largest; }

// `element`: bytes of an activation.
MemoryPlan with_fetched_layers(MemoryPlan plan, const LayerBytes& layers, int64_t element) {
  plan.weights += 2 * layers.largest - layers.all;
  // Of a projection that is used out of order, by both threads (see unpacked_bytes).
  plan.workspace = std::max(plan.workspace, 2 * layers.widest * element);
  plan.fetched = layers.all;
  return plan;
}

MemoryPlan with(MemoryPlan plan, const Shapes& s, int64_t tokens, int64_t longest, Recompute level, bool fused) {
  plan.execution.tokens = tokens;
  plan.execution.fused = fused;
  plan.execution.recompute = level;
  plan.optimizer += held_sums(ceil_div(s.step_tokens, tokens)) * s.sum_bytes;
  const int64_t most = std::max(tokens, longest);
  plan.activations = static_cast<int64_t>(kSlack * static_cast<double>(activation_bytes(s, most, level, fused)));
  plan.workspace += static_cast<int64_t>(kSlack * static_cast<double>(workspace_bytes(s, most, longest, level)));
  return plan;
}

// Of the largest projection that is made dense for its product.
int64_t unpacked_bytes(const LlamaForCausalLM& model, int64_t element) {
  int64_t most = 0;
  for (const auto& module : model.modules(/*include_self=*/false)) {
    const auto linear = std::dynamic_pointer_cast<Linear>(module);
    if (!linear || !linear->weight_handle().packed()) continue;
    most = std::max(most, linear->out_features() * linear->in_features() * element);
  }
  return most;
}

std::string megabytes(int64_t bytes) { return std::to_string((bytes + 999'999) / 1'000'000) + " MB"; }

// What makes the largest part of a plan smaller, of what the run does not do already. `element`: bytes of an
// activation.
std::string memory_advice(const MemoryPlan& plan, const TrainingConfig& config, int64_t element, bool could_fetch) {
  const int64_t activations = plan.activations + plan.workspace;
  const int64_t largest = std::max({plan.process, plan.weights, plan.optimizer, activations});
  if (largest == activations) {
    std::string advice = "the activations are the most: ";
    if (config.memory == MemoryMode::kFast) advice += "training.memory auto or low, ";
    if (config.micro_batch_size && *config.micro_batch_size > 1) advice += "a smaller micro_batch_size, ";
    return advice + "a smaller max_length" + (element > 2 ? " or model.dtype bfloat16" : "") + " needs less";
  }
  if (largest == plan.weights) {
    return std::string("the weights are the most: ") +
           (could_fetch ? "training.memory auto or low, which leaves the layers in the host's memory, " : "") +
           (element > 2   ? "model.dtype bfloat16 or "
            : could_fetch ? "or "
                          : "") +
           "a model.quantization needs less";
  }
  if (largest == plan.optimizer) {
    return "gradients and moments are the most: a lower rank, fewer target_modules or modules_to_save need less";
  }
  return "the program and its data are the most, which no other key makes smaller: expected a higher limit";
}

}  // namespace

bool can_fetch_layers(const LlamaForCausalLM& model) { return can_be_fetched(layer_bytes(model)); }

DataNeed data_need(const Dataset& train, const Dataset& validation) {
  DataNeed need;
  std::vector<bool> used;
  for (const Dataset* set : {&train, &validation}) {
    need.longest = std::max(need.longest, set->longest());
    need.samples += set->size();
    need.tokens += set->tokens();
    used.resize(std::max(used.size(), set->used_ids().size()));
    for (size_t id = 0; id < set->used_ids().size(); ++id) used[id] = used[id] || set->used_ids()[id];
  }
  need.distinct = std::ranges::count(used, true);
  return need;
}

MemoryPlan plan_memory(const LlamaForCausalLM& model, const std::vector<ParameterGroup>& groups,
                       const TrainingConfig& config, const DataNeed& data, const MemoryRoom& room, int64_t beside) {
  Shapes s = shapes_of(model);
  s.is_device = room.is_device();
  if (room.is_device()) {
    s.holds_scores = std::ranges::any_of(model.model->layers, [&](const auto& layer) {
      const LayerStructure& one = layer->structure();
      return !aten::flash_attention_problem(room.device, model.dtype(), one.heads, one.scores).empty();
    });
  }
  const ModelConfig& shape = model.config();
  const bool fused = config.fused;
  // Of the plain path: the tanh's result and the probabilities, in both dtypes where there are two.
  if (shape.attention_softcap != 0) s.capped_scores = 8 * s.head_count * data.longest;
  MemoryPlan base;
  base.optimizer = beside;
  base.process = room.is_device()
                     ? kDeviceBytes
                     : kProcessBytes + (s.element < 4 ? kCompiledBytes : 0) + 5 * data.tokens + 40 * data.samples;
  for (const auto& parameter : model.named_parameters()) {
    const at::Tensor& p = parameter.value();
    const bool read_in_part = !room.is_device() && !model.has_tied_head() &&
                              parameter.key().starts_with("model.embed_tokens.") && !p.requires_grad();
    base.weights += read_in_part ? data.distinct * s.hidden * static_cast<int64_t>(p.element_size())
                                 : p.numel() * static_cast<int64_t>(p.element_size());
  }
  // Of a whole weight that is trained: its copy in the model's dtype, and its gradient on the way to the optimizer.
  for (const auto& [path, p, role] : trainable_parameters(model)) {
    const bool whole = role == ParameterRole::kRows || role == ParameterRole::kHead || role == ParameterRole::kBase;
    if (!whole || p.dim() != 2) continue;
    base.workspace = std::max<int64_t>(base.workspace, p.numel() * (4 + 4 + (s.element < 4 ? s.element : 0)));
  }
  for (const auto& buffer : model.named_buffers()) base.weights += static_cast<int64_t>(buffer.value().nbytes());
  // On a GPU the backward pass is another thread's, which unpacks into memory of its own.
  base.workspace = std::max(base.workspace, (room.is_device() ? 2 : 1) * unpacked_bytes(model, s.element));
  int64_t trained_bytes = 0;
  for (const ParameterGroup& group : groups) {
    for (const auto& [path, p] : group.parameters) trained_bytes += 4 * p.numel();
  }
  base.optimizer += 3 * trained_bytes;  // gradient, two moments

  const bool whole_rows = config.packing || config.micro_batch_size;
  const int64_t mean_length = ceil_div(data.tokens, std::max<int64_t>(1, data.samples));
  s.step_tokens = config.batch_size * (whole_rows ? config.max_length : std::min(config.max_length, mean_length));
  if (sum_order_of(model) == SumOrder::kTree) s.sum_bytes = trained_bytes;
  const LayerBytes layers = layer_bytes(model);
  // The places that the layers' weights may have on a GPU, the better first.
  std::vector<MemoryPlan> places;
  if (room.layers != LayerWeights::kFetched) places.push_back(base);
  if (room.layers == LayerWeights::kFetched ||
      (room.layers == LayerWeights::kEither && config.memory != MemoryMode::kFast && can_be_fetched(layers))) {
    places.push_back(with_fetched_layers(base, layers, s.element));
  }
  const bool releases = fused && !room.is_device();
  const MemoryPlan leaner = releases ? with_released_weights(base, releasable_bytes(model)) : base;
  const int64_t of_room = room.is_device() ? room.bytes : room.bytes / 5 * 4;
  const int64_t limit = room.is_device() ? std::min(config.memory_limit.value_or(of_room), of_room)
                                         : config.memory_limit.value_or(of_room);
  const auto within = [&](const MemoryPlan& plan) {
    if (plan.total() <= limit || !(config.memory_limit || room.is_device())) return plan;
    const bool by_recipe = config.memory_limit == limit;
    const std::string found =
        "this run needs " + megabytes(plan.total()) + " (weights " + megabytes(plan.weights) + ", optimizer " +
        megabytes(plan.optimizer) + ", activations " + megabytes(plan.activations + plan.workspace) + ", " +
        (room.is_device() ? "libraries " : "program and data ") + megabytes(plan.process) + "), which is more than " +
        megabytes(limit) + (plan.fetched > 0 ? ", also with its layers in the host's memory" : "") + "; " +
        memory_advice(plan, config, s.element,
                      room.layers == LayerWeights::kEither && plan.fetched == 0 && can_be_fetched(layers));
    if (by_recipe) throw RecipeError("training.memory_limit: " + found);
    throw Error(ExitCode::kModel, "memory", "the GPU is too small: " + found + "; model.device: cpu takes none of it");
  };
  // The first that is within the limit.
  const auto chosen = [&](const std::vector<MemoryPlan>& by_speed) {
    const auto fits = std::ranges::find_if(by_speed, [&](const MemoryPlan& one) { return one.total() <= limit; });
    return within(fits == by_speed.end() ? by_speed.back() : *fits);
  };
  if (config.micro_batch_size) {
    const bool low = config.memory == MemoryMode::kLow;
    const auto plan = [&](const MemoryPlan& from, bool recomputes) {
      return with(from, s, *config.micro_batch_size * config.max_length, data.longest,
                  recomputes ? Recompute::kLayer : Recompute::kNone, fused);
    };
    if (!room.is_device()) return plan(low ? leaner : base, low);
    return chosen({plan(places.front(), low), plan(places.back(), low || places.back().fetched > 0)});
  }
  if (room.is_device()) {
    // A pass of more tokens than a step has would only reserve memory.
    const int64_t most = std::max(rounded_rows(s.step_tokens), kFewDeviceTokens);
    std::vector<MemoryPlan> by_speed;
    for (const MemoryPlan& place : places) {
      const auto add = [&](int64_t tokens, Recompute level) {
        by_speed.push_back(with(place, s, std::min(tokens, most), data.longest, level, fused));
      };
      const bool fetched = place.fetched > 0, low = config.memory == MemoryMode::kLow && fused;
      for (const int64_t tokens : kDeviceTokens) {
        if (!low) add(tokens, fetched && fused ? Recompute::kLayer : Recompute::kNone);
      }
      if (!low && !fetched && fused) {
        for (const Recompute level : {Recompute::kGateUp, Recompute::kLayer}) add(1024, level);
      }
      if (fused) add(kFewDeviceTokens, Recompute::kLayer);
    }
    return config.memory == MemoryMode::kFast ? within(by_speed.front()) : chosen(by_speed);
  }
  const MemoryPlan fast = with(base, s, kManyTokens, data.longest, Recompute::kNone, fused);
  const MemoryPlan low = with(leaner, s, kFewTokens, data.longest, Recompute::kLayer, fused);
  if (config.memory == MemoryMode::kFast || !fused) return within(fast);
  if (config.memory == MemoryMode::kLow) return within(low);
  return chosen({fast, with(leaner, s, kManyTokens, data.longest, Recompute::kNone, true),
                 with(leaner, s, kFewTokens, data.longest, Recompute::kNone, true),
                 with(leaner, s, kFewTokens, data.longest, Recompute::kGateUp, true), low});
}

}  // namespace lora
