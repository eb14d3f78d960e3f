#include "models/network/batch_decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "models/base/error.h"
#include "models/base/numbers.h"
#include "models/base/threads.h"
#include "models/engine/cpu/dispatch.h"
#include "models/engine/cpu/paged_attention.h"
#include "models/engine/cpu/scratch.h"
#include "models/engine/operations.h"
#include "models/engine/row_counts.h"
#include "models/network/device_decoder.h"
#include "models/network/model_snapshot.h"

namespace lora {
namespace {

using kernels::Matrix;

// Elements that a thread is given at a time in the steps between products: below this, dividing costs more.
constexpr int64_t kStepElements = 16384;

constexpr int64_t kManyPages = std::numeric_limits<int64_t>::max() / kPageTokens;

Matrix<float> rows_of(const at::Tensor& t, int64_t rows) {
  return {t.data_ptr<float>(), as_size(rows), as_size(t.size(1)), as_size(t.size(1))};
}

// f(first, count) for blocks of `rows`, each of so many elements.
template <class F>
void for_row_blocks(int64_t rows, int64_t elements, F f) {
  parallel_for(rows, std::max<int64_t>(1, kStepElements / elements),
               [&](int64_t begin, int64_t end) { f(as_size(begin), as_size(end - begin)); });
}

const kernels::ElementwiseKernels<float>& elementwise() { return kernels::table<float>().elementwise; }

}  // namespace

// All are (capacity, columns) float32.
struct BatchDecoder::Buffers {
  int64_t capacity = 0;
  at::Tensor stream;               // (…, H): the hidden states
  at::Tensor normed, out;          // (…, H)
  at::Tensor qkv, attended;        // (…, width), (…, heads · dim)
  at::Tensor gate_up, activation;  // (…, 2 I), (…, I)
  at::Tensor last, logits;         // of the rows whose logits are wanted: (…, H), (…, V)
  at::Tensor caller_logits;        // in the caller's order
};

struct BatchDecoder::Pass {
  struct Span {
    const DecoderSpan* asked;
    int64_t row;           // its first
    int64_t count, start;  // tokens, and the position of the first
    size_t pages;          // where its pages begin in `pages`
  };
  // A piece of the work of attention: queries of a span that share a head of keys.
  struct Block {
    size_t span;
    int64_t head, first, count;  // queries from `first` on, of the span's tokens · group
  };
  std::vector<Span> spans;  // by model
  int64_t rows = 0;
  bool many = false;  // texts that are read: computed by LinearGroup
  RopeTable global, local;
  std::vector<void*> pages;
  std::vector<Block> blocks;
  double attention_work = 0;

  // The runs of rows of one model, with f(snapshot) of each.
  template <class F>
  std::vector<RowRun> runs(F f) const {
    std::vector<RowRun> all;
    const ModelSnapshot* before = nullptr;
    for (const Span& span : spans) {
      if (span.asked->model != before) all.push_back({span.row, 0, f(*span.asked->model)});
      all.back().count += span.count;
      before = span.asked->model;
    }
    return all;
  }
};

std::optional<std::string> BatchDecoder::problem(const LlamaForCausalLM& model) {
  const bool may_be_half = !model.device().is_cpu();
  if (model.dtype() != at::kFloat && model.dtype() != at::kBFloat16 && !(may_be_half && model.dtype() == at::kHalf)) {
    return std::string("it is neither float32 nor bfloat16") + (may_be_half ? " nor float16" : "");
  }
  for (const auto& layer : model.model->layers) {
    const auto form = layer->fused_form(model.dtype());
    if (const auto* reason = std::get_if<NotFused>(&form)) return reason->reason();
  }
  return std::nullopt;
}

BatchDecoder::BatchDecoder(const LlamaForCausalLM& model, KvDtype kv_dtype, int64_t most_pages)
    : config_(model.config()),
      dtype_(model.dtype()),
      layout_{config_.num_hidden_layers, config_.num_key_value_heads, config_.head_dim,
              kv_dtype == KvDtype::kInt8 ? at::kChar : dtype_},
      positions_(config_.rope, config_.head_dim, config_.max_position_embeddings),
      local_positions_(config_.local_rope, config_.head_dim, config_.max_position_embeddings),
      is_classifier_(!config_.labels.empty()),
      buffers_(std::make_unique<Buffers>()) {
  if (const auto reason = problem(model))
    throw ModelError("decoding: the model cannot be decoded in batches: " + *reason);
  for (const auto& layer : model.model->layers) {
    structures_.push_back(layer->structure());
    has_local_ |= layer->structure().positions == Positions::kLocal;
  }
  if (!model.device().is_cpu()) on_device_ = std::make_unique<DeviceDecoder>(model, layout_, most_pages);
}

BatchDecoder::~BatchDecoder() = default;

std::shared_ptr<KvPage> BatchDecoder::copy_of(const KvPage& page) const {
  if (on_device_) return on_device_->pages().copy_of(page);
  return std::make_shared<KvPage>(KvPage{.memory = page.memory.clone()});
}

int64_t BatchDecoder::most_pages() const { return on_device_ ? on_device_->pages().most() : kManyPages; }

int64_t BatchDecoder::free_pages() const { return on_device_ ? on_device_->pages().free() : kManyPages; }

std::shared_ptr<const ModelSnapshot> BatchDecoder::snapshot(LlamaForCausalLM& model) const {
  return std::make_shared<const ModelSnapshot>(model);
}

void BatchDecoder::expect_ids(std::span<const DecoderSpan> spans) const {
  for (const DecoderSpan& span : spans) {
    for (const int64_t id : span.ids) {
      if (id >= 0 && id < config_.vocab_size) continue;
      throw ModelError("generation: a prompt has the token " + std::to_string(id) + ", and the model has " +
                       std::to_string(config_.vocab_size) + " rows; expected a text without this token");
    }
  }
}

BatchDecoder::Pass BatchDecoder::begin(std::span<const DecoderSpan> asked) {
  Pass pass;
  const std::vector<const DecoderSpan*> order = spans_by_model(asked);
  std::vector<int64_t> starts, lengths;
  for (const DecoderSpan* span : order) {
    const auto count = static_cast<int64_t>(span->ids.size());
    pass.spans.push_back({span, pass.rows, count, span->sequence->length, 0});
    pass.rows += count;
    starts.push_back(span->sequence->length);
    lengths.push_back(count);
  }
  pass.many =
      order.front()->model == order.back()->model && pass.rows >= kRowStep && pass.rows > std::ssize(pass.spans);
  pass.global = positions_.of(starts, lengths, at::kCPU);
  if (has_local_) pass.local = local_positions_.of(starts, lengths, at::kCPU);

  const int64_t group = config_.num_attention_heads / config_.num_key_value_heads;
  for (size_t i = 0; i < pass.spans.size(); ++i) {
    Pass::Span& span = pass.spans[i];
    KvSequence& sequence = *span.asked->sequence;
    const int64_t end = span.start + span.count;
    while (std::ssize(sequence.pages) * kPageTokens < end) sequence.pages.push_back(layout_.new_page());
    span.pages = pass.pages.size();
    for (const auto& page : sequence.pages) pass.pages.push_back(page->memory.mutable_data_ptr());
    constexpr auto kMost = static_cast<int64_t>(kernels::kMostQueries);
    for (int64_t first = span.count * group / kMost * kMost; first >= 0; first -= kMost) {  // the longest first
      const int64_t count = std::min(kMost, span.count * group - first);
      for (int64_t head = 0; count > 0 && head < config_.num_key_value_heads; ++head) {
        pass.blocks.push_back({i, head, first, count});
      }
    }
    pass.attention_work += static_cast<double>(span.count * end * config_.num_attention_heads * config_.head_dim);
  }

  // Memory for all rows, and for whole steps of LinearGroup's.
  Buffers& all = *buffers_;
  const int64_t rows = rounded_rows(pass.rows);
  if (all.capacity < rows) {
    const auto make = [&](int64_t columns) { return at::zeros({rows, columns}, at::kFloat); };
    const HeadLayout heads = structures_.front().heads;
    const int64_t inner = config_.intermediate_size, hidden = config_.hidden_size;
    all.stream = make(hidden);
    all.normed = make(hidden);
    all.out = make(hidden);
    all.qkv = make(heads.width());
    all.attended = make(heads.heads * heads.dim);
    all.gate_up = make(2 * inner);
    all.activation = make(inner);
    all.capacity = rows;
  }
  return pass;
}

void BatchDecoder::embed(const Pass& pass) {
  const Matrix<float> stream = rows_of(buffers_->stream, pass.rows);
  for (size_t i = 0; i < pass.spans.size();) {
    const ModelSnapshot& model = *pass.spans[i].asked->model;
    const int64_t first = pass.spans[i].row;
    std::vector<int64_t> ids;
    for (; i < pass.spans.size() && pass.spans[i].asked->model == &model; ++i) {
      ids.insert(ids.end(), pass.spans[i].asked->ids.begin(), pass.spans[i].asked->ids.end());
    }
    const at::Tensor x = model.embed(at::tensor(ids, at::kLong)).to(at::kFloat).contiguous();
    std::memcpy(stream.row(as_size(first)), x.const_data_ptr<float>(), x.nbytes());
  }
}

// y = the group's projections of x.
void BatchDecoder::project(const Pass& pass, size_t index, ProjectionGroup group, const at::Tensor& x,
                           const at::Tensor& y) {
  if (!pass.many) {
    const auto runs = pass.runs([&](const ModelSnapshot& model) { return &model.layers[index].group(group).rows; });
    return products_.run(runs, rows_of(x, pass.rows), rows_of(y, pass.rows));
  }
  const LinearGroup& many = pass.spans.front().asked->model->layers[index].group(group).many;
  const int64_t rows = rounded_rows(pass.rows);
  at::Tensor from = x.narrow(0, 0, rows), to = y.narrow(0, 0, rows);
  if (dtype_ == at::kFloat) {
    many.forward(from, /*base=*/{}, to);
    return;
  }
  at::Tensor rounded = at::empty(to.sizes(), dtype_);
  many.forward(from.to(dtype_), /*base=*/{}, rounded);
  to.copy_(rounded);
}

// stream += scale · norm(out)
void BatchDecoder::add_to_stream(const Pass& pass, size_t index, NormPlace place) {
  const LayerStructure& structure = structures_[index];
  const auto scale = static_cast<float>(structure.residual_scale);
  const Matrix<float> stream = rows_of(buffers_->stream, pass.rows), out = rows_of(buffers_->out, pass.rows);
  norm_rows(pass, index, place, out, out);
  for_row_blocks(pass.rows, config_.hidden_size, [&](size_t first, size_t count) {
    float* const to = stream.row(first);
    const float* const from = out.row(first);
    for (size_t i = 0; i < count * stream.columns; ++i) to[i] += scale * from[i];
  });
}

// y = the norm at `place` of x, by each row's model; y is x where there is none.
void BatchDecoder::norm_rows(const Pass& pass, size_t index, NormPlace place, Matrix<float> x, Matrix<float> y) const {
  if (!structures_[index].norm(place)) {
    if (x.data != y.data) std::memcpy(y.data, x.data, x.rows * x.columns * sizeof(float));
    return;
  }
  for_row_blocks(pass.rows, static_cast<int64_t>(x.columns), [&](size_t first, size_t count) {
    for (const Pass::Span& span : pass.spans) {
      const size_t begin = std::max(first, as_size(span.row)),
                   end = std::min(first + count, as_size(span.row + span.count));
      if (begin >= end) continue;
      const at::Tensor& weight = span.asked->model->layers[index].norm(place).multiplier;
      elementwise().rms_norm(x.row_range(begin, end - begin), {weight.const_data_ptr<float>(), as_size(weight.numel())},
                             y.row_range(begin, end - begin), static_cast<float>(config_.rms_norm_eps));
    }
  });
}

// Keys and values into the pages, and the result of attention for each row.
template <class T>
void BatchDecoder::attend(const Pass& pass, size_t index) {
  const LayerStructure& structure = structures_[index];
  const int64_t heads = structure.heads.heads, kv_heads = structure.heads.kv_heads, dim = structure.heads.dim;
  const int64_t group = heads / kv_heads;
  const auto layer = static_cast<int64_t>(index);
  const auto& k = kernels::paged_attention_kernels<T>();
  const Matrix<float> qkv = rows_of(buffers_->qkv, pass.rows), out = rows_of(buffers_->attended, pass.rows);
  const auto page = [&](const Pass::Span& span, int64_t position) {
    return static_cast<T*>(pass.pages[span.pages + as_size(position / kPageTokens)]);
  };
  for_row_blocks(pass.rows, qkv.columns, [&](size_t first, size_t count) {
    for (const Pass::Span& span : pass.spans) {
      const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(first) - span.row);
      const int64_t end = std::min<int64_t>(span.count, static_cast<int64_t>(first + count) - span.row);
      for (int64_t i = begin; i < end; ++i) {
        const float* const keys = qkv.row(as_size(span.row + i)) + heads * dim;
        const int64_t position = span.start + i;
        T* const memory = page(span, position);
        for (int64_t h = 0; h < kv_heads; ++h) {
          k.store(keys + h * dim, keys + (kv_heads + h) * dim, as_size(dim), as_size(position % kPageTokens),
                  memory + layout_.keys(layer, h), memory + layout_.values(layer, h));
        }
      }
    }
  });
  const auto attend_block = [&](int64_t number, int64_t) {
    const Pass::Block& block = pass.blocks[as_size(number)];
    const Pass::Span& span = pass.spans[block.span];
    kernels::PagedQueries<T> queries{};
    queries.count = as_size(block.count);
    queries.dim = as_size(dim);
    for (int64_t i = 0; i < block.count; ++i) {
      const int64_t token = (block.first + i) / group, head = block.head * group + (block.first + i) % group;
      queries.q[i] = qkv.row(as_size(span.row + token)) + head * dim;
      queries.out[i] = out.row(as_size(span.row + token)) + head * dim;
      queries.seen[i] = as_size(span.start + token + 1);
    }
    queries.pages = {reinterpret_cast<const T* const*>(pass.pages.data()) + span.pages,
                     span.asked->sequence->pages.size()};
    queries.keys = as_size(layout_.keys(layer, block.head));
    queries.values = as_size(layout_.values(layer, block.head));
    queries.scale = static_cast<float>(structure.scores.scale);
    queries.softcap = static_cast<float>(structure.scores.softcap);
    queries.window = as_size(structure.scores.window);
    queries.scratch = thread_scratch(kernels::paged_scratch_floats(queries.seen[block.count - 1]));
    k.attend(queries);
  };
  constexpr double kWorthThreads = 100'000;
  if (pass.attention_work > kWorthThreads) return share_out(std::ssize(pass.blocks), attend_block);
  for (int64_t i = 0; i < std::ssize(pass.blocks); ++i) attend_block(i, 0);
}

void BatchDecoder::layer(const Pass& pass, size_t index) {
  const LayerStructure& structure = structures_[index];
  const HeadLayout& heads = structure.heads;
  Buffers& all = *buffers_;
  const Matrix<float> stream = rows_of(all.stream, pass.rows), normed = rows_of(all.normed, pass.rows);
  norm_rows(pass, index, NormPlace::kBeforeAttention, stream, normed);
  project(pass, index, ProjectionGroup::kQkv, all.normed, all.qkv);

  const Matrix<float> qkv = rows_of(all.qkv, pass.rows);
  const auto q = qkv.column_range(0, as_size(heads.heads * heads.dim));
  const auto keys = qkv.column_range(q.columns, as_size(heads.kv_heads * heads.dim));
  norm_rows(pass, index, NormPlace::kQueries, q, q);
  norm_rows(pass, index, NormPlace::kKeys, keys, keys);
  if (structure.positions != Positions::kNone) {
    const RopeTable& rope = structure.positions == Positions::kLocal ? pass.local : pass.global;
    for_row_blocks(pass.rows, qkv.columns, [&](size_t first, size_t count) {
      elementwise().rope(qkv.column_range(0, q.columns + keys.columns).row_range(first, count), as_size(heads.dim),
                         kernels::view<const float>(rope.cos).row_range(first, count),
                         kernels::view<const float>(rope.sin).row_range(first, count), 1.0f);
    });
  }
  if (layout_.dtype == at::kChar) {
    attend<int8_t>(pass, index);
  } else {
    kernels::for_type(dtype_, [&]<class T>(T) { attend<T>(pass, index); });
  }
  project(pass, index, ProjectionGroup::kO, all.attended, all.out);
  add_to_stream(pass, index, NormPlace::kAfterAttention);

  norm_rows(pass, index, NormPlace::kBeforeMlp, stream, normed);
  project(pass, index, ProjectionGroup::kGateUp, all.normed, all.gate_up);
  const auto act = structure.activation == Activation::kSilu ? elementwise().swiglu : elementwise().geglu;
  for_row_blocks(pass.rows, 2 * config_.intermediate_size, [&](size_t first, size_t count) {
    act(rows_of(all.gate_up, pass.rows).row_range(first, count),
        rows_of(all.activation, pass.rows).row_range(first, count));
  });
  project(pass, index, ProjectionGroup::kDown, all.activation, all.out);
  add_to_stream(pass, index, NormPlace::kAfterMlp);
}

// The hidden states that are asked for.
void BatchDecoder::add_hidden(const Pass& pass) {
  for (const Pass::Span& span : pass.spans) {
    const std::span<double> sum = span.asked->hidden;
    if (sum.empty()) continue;
    const Matrix<float> normed = rows_of(buffers_->normed, pass.rows).row_range(as_size(span.row), as_size(span.count));
    const at::Tensor& weight = span.asked->model->final_norm.multiplier;
    elementwise().rms_norm(rows_of(buffers_->stream, pass.rows).row_range(as_size(span.row), as_size(span.count)),
                           {weight.const_data_ptr<float>(), as_size(weight.numel())}, normed,
                           static_cast<float>(config_.rms_norm_eps));
    for (size_t row = 0; row < normed.rows; ++row) {
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += normed.row(row)[i];
    }
  }
}

// The logits wanted: the last norm and the head, for those rows alone.
Matrix<const float> BatchDecoder::head(const Pass& pass, std::span<const DecoderSpan> asked) {
  Buffers& all = *buffers_;
  int64_t rows = 0;
  for (const Pass::Span& span : pass.spans) rows += span.asked->logits;
  if (rows == 0) return {};
  if (!all.last.defined() || all.last.size(0) < rows) all.last = at::empty({rows, config_.hidden_size}, at::kFloat);
  const Matrix<float> stream = rows_of(all.stream, pass.rows), last = rows_of(all.last, rows);
  size_t row = 0;
  std::vector<RowRun> runs;
  std::vector<size_t> places(asked.size());  // of each caller's span in `last`
  const ModelSnapshot* before = nullptr;
  for (const Pass::Span& span : pass.spans) {
    const ModelSnapshot& model = *span.asked->model;
    const auto count = as_size(span.asked->logits);
    places[as_size(span.asked - asked.data())] = row;
    if (count == 0) continue;
    const at::Tensor& weight = model.final_norm.multiplier;
    elementwise().rms_norm(stream.row_range(as_size(span.row + span.count) - count, count),
                           {weight.const_data_ptr<float>(), as_size(weight.numel())}, last.row_range(row, count),
                           static_cast<float>(config_.rms_norm_eps));
    if (&model != before) runs.push_back({static_cast<int64_t>(row), 0, model.head()});
    runs.back().count += span.asked->logits;
    before = &model;
    row += count;
  }
  const int64_t columns = is_classifier_ ? std::ssize(config_.labels) : config_.vocab_size;
  const auto make = [&](at::Tensor& t) {
    if (!t.defined() || t.size(0) < rows) t = at::empty({rows, columns}, at::kFloat);
    return rows_of(t, rows);
  };
  const Matrix<float> logits = make(all.logits);
  if (std::ranges::all_of(runs, [](const RowRun& run) { return run.linear != nullptr; })) {
    products_.run(runs, last, logits);
  } else {
    for (size_t i = 0; i < pass.spans.size(); ++i) {
      const DecoderSpan& span = *pass.spans[i].asked;
      if (span.logits == 0) continue;
      const auto first = static_cast<int64_t>(places[as_size(&span - asked.data())]);
      const at::Tensor hidden = all.last.narrow(0, first, span.logits).to(dtype_);
      all.logits.narrow(0, first, span.logits).copy_(span.model->project_head(hidden));
    }
  }
  if (!is_classifier_ && (config_.logit_divisor != 1 || config_.logit_softcap != 0)) {
    at::Tensor wanted = all.logits.narrow(0, 0, rows);
    if (config_.logit_divisor != 1) wanted.div_(config_.logit_divisor);
    if (config_.logit_softcap != 0) wanted.div_(config_.logit_softcap).tanh_().mul_(config_.logit_softcap);
  }
  // Where the caller's order is that of the pass, the logits stay where they are.
  bool same = true;
  size_t next = 0;
  for (size_t i = 0; i < asked.size(); next += as_size(asked[i].logits), ++i)
    same &= asked[i].logits == 0 || places[i] == next;
  if (same) return logits;
  const Matrix<float> ordered = make(all.caller_logits);
  next = 0;
  for (size_t i = 0; i < asked.size(); ++i) {
    const auto count = as_size(asked[i].logits);
    std::memcpy(ordered.row(next), logits.row(places[i]), count * logits.columns * sizeof(float));
    next += count;
  }
  return ordered;
}

Matrix<const float> BatchDecoder::pass(std::span<const DecoderSpan> spans) {
  const at::NoGradGuard no_gradients;
  if (spans.empty()) return {};
  expect_ids(spans);
  if (on_device_) return on_device_->pass(spans);
  const Pass pass = begin(spans);
  embed(pass);
  for (size_t i = 0; i < structures_.size(); ++i) layer(pass, i);
  for (const Pass::Span& span : pass.spans) span.asked->sequence->length += span.count;
  add_hidden(pass);
  return head(pass, spans);
}

}  // namespace lora
