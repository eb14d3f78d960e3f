#include "models/engine/device_pages.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "models/base/error.h"
#include "models/base/numbers.h"
#include "models/engine/devices.h"

namespace lora {

DevicePages::DevicePages(const KvLayout& layout, at::Device device, int64_t most)
    : layout_(layout), device_(device), most_(most), layers_(as_size(layout.layers)) {}

std::vector<at::Tensor*> DevicePages::tensors(Layer& layer) {
  return {&layer.keys, &layer.values, &layer.key_scales, &layer.value_scales};
}

// One layer after another, so that no more than one of them is there twice.
void DevicePages::grow() {
  constexpr int64_t kFirst = 16;
  const int64_t pages = std::min(most_, std::max(kFirst, 2 * held_));
  for (Layer& layer : layers_) {
    const auto enlarge = [&](at::Tensor& t, int64_t size, at::ScalarType dtype) {
      at::Tensor larger =
          at::zeros({pages, kPageTokens, layout_.kv_heads, size}, at::TensorOptions(dtype).device(device_));
      if (t.defined()) larger.narrow(0, 0, held_).copy_(t.narrow(0, 0, held_));
      t = larger;
    };
    for (at::Tensor* t : {&layer.keys, &layer.values}) enlarge(*t, layout_.dim, layout_.dtype);
    if (layout_.dtype != at::kChar) continue;
    for (at::Tensor* t : {&layer.key_scales, &layer.value_scales}) enlarge(*t, 1, at::kFloat);
  }
  for (int64_t place = pages - 1; place >= held_; --place) clean_.push_back(place);
  held_ = pages;
}

// What is not a number would reach a text by the places of its pages that it has no token for.
void DevicePages::clean() {
  const at::Tensor places = on_device(at::tensor(given_back_, at::kLong), device_);
  for (Layer& layer : layers_) {
    for (at::Tensor* t : tensors(layer)) {
      if (t->defined()) t->index_fill_(0, places, 0);
    }
  }
  clean_.swap(given_back_);
}

std::shared_ptr<KvPage> DevicePages::new_page() {
  if (taken_ == most_) {
    throw Error(ExitCode::kModel, "memory",
                device_.str() + " has no room for the keys and values of more than " +
                    std::to_string(most_ * kPageTokens) +
                    " tokens; expected shorter or fewer texts at once, --kv-cache-dtype int8, or --device cpu");
  }
  if (clean_.empty() && !given_back_.empty()) clean();
  if (clean_.empty()) grow();
  const int64_t place = clean_.back();
  clean_.pop_back();
  ++taken_;
  return {new KvPage{.memory = {}, .place = place}, [self = shared_from_this()](KvPage* page) {
            self->given_back_.push_back(page->place);
            --self->taken_;
            delete page;
          }};
}

std::shared_ptr<KvPage> DevicePages::copy_of(const KvPage& page) {
  std::shared_ptr<KvPage> copy = new_page();
  for (Layer& layer : layers_) {
    for (at::Tensor* t : tensors(layer)) {
      if (t->defined()) t->select(0, copy->place).copy_(t->select(0, page.place));
    }
  }
  return copy;
}

}  // namespace lora
