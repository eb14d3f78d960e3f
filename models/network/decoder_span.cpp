#include "models/network/decoder_span.h"

#include <algorithm>

namespace lora {

std::vector<const DecoderSpan*> spans_by_model(std::span<const DecoderSpan> asked) {
  std::vector<const DecoderSpan*> order;
  std::vector<const ModelSnapshot*> models;
  for (const DecoderSpan& span : asked) {
    order.push_back(&span);
    if (std::ranges::find(models, span.model) == models.end()) models.push_back(span.model);
  }
  std::ranges::stable_sort(order, {}, [&](const DecoderSpan* span) { return std::ranges::find(models, span->model); });
  return order;
}

}  // namespace lora
