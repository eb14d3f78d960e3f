#include "lora/adapters/rowwise.h"

#include <ATen/ATen.h>

#include <map>
#include <stdexcept>

#include "models/base/error.h"
#include "models/engine/dropout.h"

namespace lora {
namespace {

using Spans = std::vector<TokenSpan>;

class SpanLinear final : public Linear {
 public:
  // `adapters` by index; null where one does not adapt this layer.
  SpanLinear(std::shared_ptr<Linear> base, std::vector<std::shared_ptr<AdapterLinear>> adapters,
             std::shared_ptr<const Spans> spans)
      : adapters_(std::move(adapters)), spans_(std::move(spans)) {
    base_ = register_module("base_layer", std::move(base));
    for (size_t i = 0; i < adapters_.size(); ++i) {
      if (adapters_[i]) register_module("adapter_" + std::to_string(i), adapters_[i]);
    }
  }

  WeightHandle weight_handle() const override { return base_->weight_handle(); }
  at::Tensor bias_vector() const override { return base_->bias_vector(); }

  at::Tensor forward(const at::Tensor& x) override {
    const at::Tensor y = base_->forward(x);
    std::vector<at::Tensor> rows;
    int64_t begin = 0;
    for (const TokenSpan& span : *spans_) {
      if (begin + span.tokens > x.size(0)) break;
      rows.push_back(span_forward(span, x.narrow(0, begin, span.tokens), y.narrow(0, begin, span.tokens)));
      begin += span.tokens;
    }
    if (begin != x.size(0) || rows.size() != spans_->size()) {
      throw std::logic_error("a pass of " + std::to_string(x.size(0)) + " tokens, not of the rows that were set");
    }
    return rows.size() == 1 ? rows.front() : at::cat(rows);
  }

 private:
  at::Tensor span_forward(const TokenSpan& span, const at::Tensor& x, const at::Tensor& y) const {
    const auto& adapter = span.adapter < 0 ? nullptr : adapters_[static_cast<size_t>(span.adapter)];
    if (!adapter) return y;
    const std::optional<LinearParts> parts = adapter->parts();
    if (!parts || parts->start_A.defined() || parts->magnitude.defined()) return adapter->forward(x);
    if (!parts->lora_A.defined()) return y;
    at::Tensor input = x.to(at::kFloat);
    if (parts->dropout > 0) input = keyed_dropout(input, parts->dropout, draw_dropout_key());
    const at::Tensor low = at::linear(at::linear(input, parts->lora_A), parts->lora_B);
    return (y + low * parts->scaling).to(y.scalar_type());
  }

  std::shared_ptr<Linear> base_;
  std::vector<std::shared_ptr<AdapterLinear>> adapters_;
  std::shared_ptr<const Spans> spans_;
};

}  // namespace

RowwiseAdapters::RowwiseAdapters(AdapterSet& set, const std::vector<std::string>& names)
    : model_(*set.model()), spans_(std::make_shared<Spans>()) {
  std::map<std::string, std::vector<std::shared_ptr<AdapterLinear>>> layers;
  for (size_t i = 0; i < names.size(); ++i) {
    if (!set.only_adapts_layers(names[i])) {
      throw AdapterError("'" + names[i] +
                         "' changes more than projections of decoder layers, and cannot share a batch with " +
                         "other adapters; switch to it instead");
    }
    for (const AdaptedModule& module : set.adapted(names[i]).modules) {
      layers.try_emplace(module.path, names.size()).first->second[i] = module.layer;
    }
  }
  set.deactivate();
  for (auto& [path, adapters] : layers) {
    std::shared_ptr<Linear> base;
    for (const auto& adapter : adapters) {
      if (adapter) base = adapter->base_layer();
    }
    bases_.emplace_back(path, base);
    const auto layer = std::make_shared<SpanLinear>(base, std::move(adapters), spans_);
    layer->train(model_.is_training());
    model_.replace(path, layer);
  }
}

RowwiseAdapters::~RowwiseAdapters() {
  for (const auto& [path, base] : bases_) model_.replace(path, base);
}

void RowwiseAdapters::set_rows(const std::vector<int64_t>& lengths, const std::vector<int64_t>& adapters) {
  spans_->clear();
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (!spans_->empty() && spans_->back().adapter == adapters[i]) {
      spans_->back().tokens += lengths[i];
    } else {
      spans_->push_back({lengths[i], adapters[i]});
    }
  }
}

}  // namespace lora
