#include "models/network/device_decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "models/base/numbers.h"
#include "models/engine/devices.h"
#include "models/engine/norm.h"
#include "models/engine/operations.h"
#include "models/engine/soft_cap.h"
#include "models/network/model_snapshot.h"

namespace lora {
namespace {

// Keys and values of one layer that are gathered for one call.
constexpr int64_t kGatherBytes = int64_t{256} << 20;
// Tokens of a pass that memory is kept free for.
constexpr int64_t kPlannedRows = 512, kPlannedLogits = 64;

int64_t bytes_of(at::ScalarType dtype) { return static_cast<int64_t>(c10::elementSize(dtype)); }

bool is_same_norm(const NormSnapshot& a, const NormSnapshot& b) {
  return a.weight.const_data_ptr() == b.weight.const_data_ptr();
}

// Pages that a device has room for, beside what a pass takes.
int64_t pages_with_room(const LlamaForCausalLM& model, const KvLayout& layout) {
  const auto room = room_on_device(model.device());
  const auto memory = device_memory(model.device());
  if (!room || !memory) return std::numeric_limits<int32_t>::max();  // ends by the device's own error
  const ModelConfig& config = model.config();
  const LayerStructure structure = model.model->layers.front()->structure();
  int64_t largest = 0;  // weight that is made dense for a product
  for (const ProjectionShape& shape : structure.projections) largest = std::max(largest, shape.out * shape.in);
  const int64_t columns = 6 * config.hidden_size + 3 * structure.heads.width() + 6 * config.intermediate_size;
  const int64_t beside = memory->total / 20 + kPlannedRows * columns * bytes_of(at::kFloat) +
                         kPlannedLogits * config.vocab_size * 3 * bytes_of(at::kFloat) +
                         largest * bytes_of(model.dtype()) + std::min(2 * kGatherBytes, *room / 8);
  // One layer's pages are there twice while they grow.
  const int64_t page_bytes = layout.page_bytes() / layout.layers * (layout.layers + 1);
  return std::max<int64_t>(1, (*room - beside) / page_bytes);
}

}  // namespace

// Numbers that reach the device in one copy.
struct DeviceDecoder::Numbers {
  std::vector<int64_t> all;
  at::Tensor there = {};
  size_t read = 0;

  // First the numbers are collected, in the order in which they are taken afterwards.
  void add(std::span<const int64_t> some) { all.insert(all.end(), some.begin(), some.end()); }
  void send(at::Device device) { there = on_device(at::tensor(all, at::kLong), device); }
  at::Tensor take(int64_t count) {
    const auto first = static_cast<int64_t>(read);
    read += as_size(count);
    return there.narrow(0, first, count);
  }
};

struct DeviceDecoder::Pass {
  struct Span {
    const DecoderSpan* asked;
    int64_t row;           // its first
    int64_t count, start;  // tokens, and the position of the first
  };
  // Rows of one model.
  struct Run {
    const ModelSnapshot* model;
    int64_t first, count;
  };
  std::vector<Span> spans;  // by model
  std::vector<Run> runs;
  int64_t rows = 0;
  at::Tensor ids, slots;  // (rows) int64: the tokens, and their slots in the pages
  RopeTable global, local;
  bool is_new = true;                                 // no sequence has tokens that are known
  Sequences sequences;                                // where it is new
  std::vector<std::vector<aten::PagedGroup>> groups;  // else: for each of windows_
  std::vector<Run> last_runs;                         // of the rows whose logits are asked for
  at::Tensor last, order;                             // int64: these rows, by model; their places in the caller's order
  int64_t last_rows = 0;
  at::Tensor stream;  // (rows, H) float32: the hidden states

  // The runs with f(model) of each.
  template <class F>
  static std::vector<aten::DeviceLinear::Run> linears(const std::vector<Run>& runs, F f) {
    std::vector<aten::DeviceLinear::Run> all;
    for (const Run& run : runs) all.push_back({run.first, run.count, f(*run.model)});
    return all;
  }
};

DeviceDecoder::DeviceDecoder(const LlamaForCausalLM& model, const KvLayout& layout, int64_t most_pages)
    : config_(model.config()),
      device_(model.device()),
      dtype_(model.dtype()),
      layout_(layout),
      positions_(config_.rope, config_.head_dim, config_.max_position_embeddings),
      local_positions_(config_.local_rope, config_.head_dim, config_.max_position_embeddings),
      fetched_(model.model->fetched),
      pages_(std::make_shared<DevicePages>(layout, device_,
                                           most_pages > 0 ? most_pages : pages_with_room(model, layout))) {
  for (const auto& layer : model.model->layers) {
    structures_.push_back(layer->structure());
    has_local_ |= layer->structure().positions == Positions::kLocal;
    const int64_t window = layer->structure().scores.window;
    if (std::ranges::find(windows_, window) == windows_.end()) windows_.push_back(window);
  }
}

DeviceDecoder::~DeviceDecoder() = default;

// The groups of spans that are attended to together: of the same number of tokens, with about as many pages. The numbers
// are collected in a draft; then the same is done again with the numbers on the device.
std::vector<aten::PagedGroup> DeviceDecoder::group_spans(const Pass& pass, int64_t window, bool is_draft,
                                                         Numbers& numbers) const {
  struct Seen {
    const Pass::Span* span;
    int64_t first, pages;  // pages of its sequence that its tokens see
  };
  std::vector<Seen> all;
  for (const Pass::Span& span : pass.spans) {
    const int64_t first = window == 0 ? 0 : std::max<int64_t>(0, span.start + 1 - window) / kPageTokens;
    all.push_back({&span, first, ceil_div(span.start + span.count, kPageTokens) - first});
  }
  std::ranges::stable_sort(all, {}, [](const Seen& one) { return std::pair(one.span->count, one.pages); });

  const int64_t page_bytes = layout_.layer_elements() * bytes_of(layout_.dtype);
  const int64_t shared = config_.num_attention_heads / config_.num_key_value_heads;
  std::vector<aten::PagedGroup> groups;
  for (size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    const int64_t tokens = all[begin].span->count;
    for (end = begin + 1; end < all.size() && all[end].span->count == tokens; ++end) {
      const int64_t most = all[end].pages, sequences = static_cast<int64_t>(end - begin) + 1;
      if (most > 2 * all[begin].pages + 2 || sequences * most * page_bytes > kGatherBytes) break;
    }
    const auto sequences = static_cast<int64_t>(end - begin);
    const int64_t pages = all[end - 1].pages;
    std::vector<int64_t> rows, places, starts, positions;
    for (size_t i = begin; i < end; ++i) {
      const auto& [span, first, count] = all[i];
      const auto& held = span->asked->sequence->pages;
      for (int64_t p = 0; p < pages; ++p) places.push_back(held[as_size(first + std::min(p, count - 1))]->place);
      starts.push_back(first * kPageTokens);
      for (int64_t t = 0; t < tokens; ++t) {
        rows.push_back(span->row + t);
        positions.push_back(span->start + t);
      }
    }
    const bool is_all = sequences == std::ssize(pass.spans) && std::ranges::is_sorted(rows);
    if (is_draft) {
      for (const auto* some : {&rows, &places, &starts, &positions}) numbers.add(*some);
      continue;
    }
    const at::Tensor row = numbers.take(std::ssize(rows)), place = numbers.take(std::ssize(places));
    const at::Tensor start = numbers.take(std::ssize(starts)), position = numbers.take(std::ssize(positions));
    groups.push_back({sequences, tokens, is_all ? at::Tensor() : row, place,
                      aten::page_mask(start, position, pages, shared, window, dtype_)});
  }
  return groups;
}

DeviceDecoder::Pass DeviceDecoder::begin(std::span<const DecoderSpan> asked) {
  Pass pass;
  std::vector<int64_t> starts, lengths, ids, slots, last, places(asked.size());
  for (const DecoderSpan* span : spans_by_model(asked)) {
    const auto count = static_cast<int64_t>(span->ids.size());
    pass.spans.push_back({span, pass.rows, count, span->sequence->length});
    const auto add_run = [&](std::vector<Pass::Run>& runs, int64_t first, int64_t more) {
      if (more == 0) return;
      if (runs.empty() || runs.back().model != span->model) runs.push_back({span->model, first, 0});
      runs.back().count += more;
    };
    add_run(pass.runs, pass.rows, count);
    add_run(pass.last_runs, std::ssize(last), span->logits);
    places[as_size(span - asked.data())] = std::ssize(last);
    pass.rows += count;
    for (int64_t i = span->logits; i > 0; --i) last.push_back(pass.rows - i);
    starts.push_back(span->sequence->length);
    lengths.push_back(count);
    ids.insert(ids.end(), span->ids.begin(), span->ids.end());
    pass.is_new &= span->sequence->length == 0;
  }
  pass.global = positions_.of(starts, lengths, device_);
  if (has_local_) pass.local = local_positions_.of(starts, lengths, device_);
  pass.last_rows = std::ssize(last);

  for (const Pass::Span& span : pass.spans) {
    KvSequence& sequence = *span.asked->sequence;
    while (std::ssize(sequence.pages) * kPageTokens < span.start + span.count)
      sequence.pages.push_back(pages_->new_page());
    for (int64_t at = span.start; at < span.start + span.count; ++at) {
      slots.push_back(sequence.pages[as_size(at / kPageTokens)]->place * kPageTokens + at % kPageTokens);
    }
  }
  std::vector<int64_t> order;
  for (size_t i = 0; i < asked.size(); ++i) {
    for (int64_t k = 0; k < asked[i].logits; ++k) order.push_back(places[i] + k);
  }
  const bool is_ordered = std::ranges::is_sorted(order);

  Numbers numbers;
  for (const auto* some : {&ids, &slots, &last, &order}) numbers.add(*some);
  if (!pass.is_new) {
    for (const int64_t window : windows_) group_spans(pass, window, /*is_draft=*/true, numbers);
  }
  numbers.send(device_);
  pass.ids = numbers.take(pass.rows);
  pass.slots = numbers.take(pass.rows);
  pass.last = numbers.take(pass.last_rows);
  pass.order = numbers.take(pass.last_rows);
  if (is_ordered) pass.order.reset();
  if (pass.is_new) {
    pass.sequences = make_sequences(lengths, {}, device_);
  } else {
    for (const int64_t window : windows_) pass.groups.push_back(group_spans(pass, window, /*is_draft=*/false, numbers));
  }
  return pass;
}

at::Tensor DeviceDecoder::embed(const Pass& pass) const {
  std::vector<at::Tensor> all;
  for (const Pass::Run& run : pass.runs) {
    all.push_back(run.model->embed(pass.ids.narrow(0, run.first, run.count)).to(at::kFloat));
  }
  // A copy: what is embedded may be a row of weights, and layers add to it.
  return all.size() == 1 ? all.front().clone() : at::cat(all);
}

// y = the norm at `place` of x, by each row's model; y is x where there is none.
void DeviceDecoder::norm(const Pass& pass, size_t index, NormPlace place, const at::Tensor& x, const at::Tensor& y,
                         int64_t column, int64_t width) const {
  if (!structures_[index].norm(place)) {
    if (!y.is_same(x)) y.copy_(x);
    return;
  }
  for (size_t i = 0; i < pass.runs.size();) {
    const NormSnapshot& norm = pass.runs[i].model->layers[index].norm(place);
    const int64_t first = pass.runs[i].first;
    int64_t count = 0;
    for (; i < pass.runs.size() && is_same_norm(pass.runs[i].model->layers[index].norm(place), norm); ++i) {
      count += pass.runs[i].count;
    }
    norm_columns(aten_operations(), {.weight = norm.multiplier, .eps = config_.rms_norm_eps}, x.narrow(0, first, count),
                 y.narrow(0, first, count), column, width);
  }
}

at::Tensor DeviceDecoder::project(const Pass& pass, size_t index, ProjectionGroup group, const at::Tensor& x) const {
  const auto runs =
      Pass::linears(pass.runs, [&](const ModelSnapshot& model) { return &model.layers[index].device_group(group); });
  at::Tensor y = at::empty({pass.rows, runs.front().linear->out_features()}, x.options());
  aten::DeviceLinear::run(runs, x, y);
  return y;
}

// stream += scale · norm(out)
void DeviceDecoder::add_to_stream(Pass& pass, size_t index, NormPlace place, const at::Tensor& out) const {
  at::Tensor added = out;
  if (structures_[index].norm(place)) {
    added = at::empty_like(pass.stream);
    norm(pass, index, place, out, added, 0, config_.hidden_size);
  }
  pass.stream.add_(added, structures_[index].residual_scale);
}

// Keys and values into the pages, and the result of attention for each row.
at::Tensor DeviceDecoder::attend(const Pass& pass, size_t index, const at::Tensor& qkv) const {
  const LayerStructure& structure = structures_[index];
  const HeadLayout& heads = structure.heads;
  const DevicePages::Layer& pages = pages_->layer(index);
  const int64_t q = heads.heads * heads.dim, kv = heads.kv_heads * heads.dim;
  const auto keys_of = [&](int64_t column) {
    return qkv.narrow(1, column, kv).view({pass.rows, heads.kv_heads, heads.dim});
  };
  aten::store_tokens(pages, pass.slots, keys_of(q), keys_of(q + kv));
  if (pass.is_new) {
    return aten_operations().packed_attention(qkv, pass.sequences, heads, structure.scores).out;
  }
  const auto window = std::ranges::find(windows_, structure.scores.window) - windows_.begin();
  const at::Tensor queries = qkv.narrow(1, 0, q);
  at::Tensor all;
  for (const aten::PagedGroup& group : pass.groups[as_size(window)]) {
    if (!group.rows.defined()) return aten::attend_pages(queries, pages, group, heads, structure.scores);
    if (!all.defined()) all = at::empty({pass.rows, q}, qkv.options());
    all.index_copy_(0, group.rows,
                    aten::attend_pages(queries.index_select(0, group.rows), pages, group, heads, structure.scores));
  }
  return all;
}

void DeviceDecoder::layer(Pass& pass, size_t index) const {
  const Operations& operations = aten_operations();
  const LayerStructure& structure = structures_[index];
  const HeadLayout& heads = structure.heads;
  if (fetched_) fetched_->enter(static_cast<int64_t>(index), static_cast<int64_t>(index) + 1);
  const at::Tensor normed = at::empty({pass.rows, config_.hidden_size}, pass.stream.options().dtype(dtype_));
  norm(pass, index, NormPlace::kBeforeAttention, pass.stream, normed, 0, config_.hidden_size);
  const at::Tensor qkv = project(pass, index, ProjectionGroup::kQkv, normed);
  const int64_t q = heads.heads * heads.dim;
  norm(pass, index, NormPlace::kQueries, qkv, qkv, 0, q);
  norm(pass, index, NormPlace::kKeys, qkv, qkv, q, heads.kv_heads * heads.dim);
  if (structure.positions != Positions::kNone) {
    const RopeTable& rope = structure.positions == Positions::kLocal ? pass.local : pass.global;
    operations.rotate(qkv, rope.cos, rope.sin, heads, 1);
  }
  const at::Tensor attended = attend(pass, index, qkv);
  add_to_stream(pass, index, NormPlace::kAfterAttention, project(pass, index, ProjectionGroup::kO, attended));

  norm(pass, index, NormPlace::kBeforeMlp, pass.stream, normed, 0, config_.hidden_size);
  const at::Tensor gate_up = project(pass, index, ProjectionGroup::kGateUp, normed);
  const auto act = structure.activation == Activation::kSilu ? operations.swiglu : operations.geglu;
  add_to_stream(pass, index, NormPlace::kAfterMlp, project(pass, index, ProjectionGroup::kDown, act(gate_up)));
}

// The hidden states that are asked for.
void DeviceDecoder::add_hidden(const Pass& pass) const {
  std::vector<at::Tensor> sums;
  for (const Pass::Span& span : pass.spans) {
    if (span.asked->hidden.empty()) continue;
    const at::Tensor normed = at::empty({span.count, config_.hidden_size}, pass.stream.options());
    norm_columns(aten_operations(), {.weight = span.asked->model->final_norm.multiplier, .eps = config_.rms_norm_eps},
                 pass.stream.narrow(0, span.row, span.count), normed, 0, config_.hidden_size);
    sums.push_back(normed.sum(0, /*keepdim=*/false, at::kDouble));
  }
  if (sums.empty()) return;
  const at::Tensor here = at::stack(sums).cpu();
  int64_t next = 0;
  for (const Pass::Span& span : pass.spans) {
    if (span.asked->hidden.empty()) continue;
    const auto* const from = here[next++].const_data_ptr<double>();
    for (size_t i = 0; i < span.asked->hidden.size(); ++i) span.asked->hidden[i] += from[i];
  }
}

// The logits asked for: the last norm and the head, for those rows alone.
kernels::Matrix<const float> DeviceDecoder::head(const Pass& pass) {
  if (pass.last_rows == 0) return {};
  const at::Tensor stream = pass.stream.index_select(0, pass.last);
  const at::Tensor normed = at::empty(stream.sizes(), stream.options().dtype(dtype_));
  for (const Pass::Run& run : pass.last_runs) {
    norm_columns(aten_operations(), {.weight = run.model->final_norm.multiplier, .eps = config_.rms_norm_eps},
                 stream.narrow(0, run.first, run.count), normed.narrow(0, run.first, run.count), 0,
                 config_.hidden_size);
  }
  const bool is_classifier = !config_.labels.empty();
  const auto runs = Pass::linears(pass.last_runs, [](const ModelSnapshot& model) { return model.device_head(); });
  const bool all_linear = std::ranges::all_of(runs, [](const auto& run) { return run.linear != nullptr; });
  at::Tensor logits =
      at::empty({pass.last_rows, is_classifier ? std::ssize(config_.labels) : config_.vocab_size}, normed.options());
  if (all_linear) {
    aten::DeviceLinear::run(runs, normed, logits);
  } else {
    for (const Pass::Run& run : pass.last_runs) {
      logits.narrow(0, run.first, run.count).copy_(run.model->project_head(normed.narrow(0, run.first, run.count)));
    }
  }
  logits = logits.to(at::kFloat);
  if (!is_classifier && config_.logit_divisor != 1) logits = logits / config_.logit_divisor;
  if (!is_classifier && config_.logit_softcap != 0) logits = soft_cap(logits, config_.logit_softcap);
  if (pass.order.defined()) logits = logits.index_select(0, pass.order);
  logits_ = logits.cpu().contiguous();
  return {logits_.const_data_ptr<float>(), as_size(logits_.size(0)), as_size(logits_.size(1)),
          as_size(logits_.size(1))};
}

kernels::Matrix<const float> DeviceDecoder::pass(std::span<const DecoderSpan> asked) {
  Pass pass = begin(asked);
  pass.stream = embed(pass);
  for (size_t i = 0; i < structures_.size(); ++i) layer(pass, i);
  for (const Pass::Span& span : pass.spans) span.asked->sequence->length += span.count;
  add_hidden(pass);
  return head(pass);
}

}  // namespace lora
