#include "models/engine/aten/paged_attention.h"

#include <ATen/ATen.h>

#include <limits>

#include "models/engine/operations.h"
#include "models/engine/soft_cap.h"

namespace lora::aten {
namespace {

// (pages, kPageTokens, …) -> (pages · kPageTokens, …)
at::Tensor token_places(const at::Tensor& pages) { return pages.flatten(0, 1); }

// 8-bit codes of the numbers of a token in a head, and their scale, as kv_pages.h says.
void store_codes(const at::Tensor& codes, const at::Tensor& scales, const at::Tensor& slots, const at::Tensor& from) {
  const at::Tensor wide = from.to(at::kFloat), most = wide.abs().amax(-1, /*keepdim=*/true);
  const at::Tensor inverse = at::where(most > 0, 127 / most, at::zeros_like(most));
  token_places(codes).index_copy_(0, slots, (wide * inverse).round_().to(at::kChar));
  token_places(scales).index_copy_(0, slots, most / 127);
}

// Keys or values of the pages of `sequences` sequences: (S, kv_heads, P · kPageTokens, dim).
at::Tensor gathered(const at::Tensor& all, const at::Tensor& scales, const at::Tensor& pages, int64_t sequences,
                    at::ScalarType dtype) {
  at::Tensor found = all.index_select(0, pages);
  if (scales.defined()) found = (found.to(at::kFloat) * scales.index_select(0, pages)).to(dtype);
  return found.view({sequences, -1, all.size(2), all.size(3)}).transpose(1, 2);
}

}  // namespace

void store_tokens(const DevicePages::Layer& pages, const at::Tensor& slots, const at::Tensor& keys,
                  const at::Tensor& values) {
  if (pages.key_scales.defined()) {
    store_codes(pages.keys, pages.key_scales, slots, keys);
    store_codes(pages.values, pages.value_scales, slots, values);
    return;
  }
  token_places(pages.keys).index_copy_(0, slots, keys);
  token_places(pages.values).index_copy_(0, slots, values);
}

at::Tensor page_mask(const at::Tensor& first, const at::Tensor& positions, int64_t pages, int64_t group, int64_t window,
                     at::ScalarType dtype) {
  const int64_t sequences = first.size(0), tokens = positions.size(0) / sequences, keys = pages * kPageTokens;
  const at::Tensor key = first.view({sequences, 1, 1}) + at::arange(keys, first.options());
  const at::Tensor query = positions.view({sequences, tokens, 1});
  at::Tensor hidden = key > query;
  if (window != 0) hidden.logical_or_(key <= query - window);
  const at::Tensor mask = at::zeros(hidden.sizes(), hidden.options().dtype(dtype))
                              .masked_fill_(hidden, -std::numeric_limits<double>::infinity())
                              .unsqueeze(1);
  return tokens == 1 ? mask : mask.repeat({1, 1, group, 1});
}

at::Tensor attend_pages(const at::Tensor& q, const DevicePages::Layer& pages, const PagedGroup& group,
                        const HeadLayout& layout, const AttentionScores& scores) {
  const int64_t sequences = group.sequences, tokens = group.tokens, shared = layout.heads / layout.kv_heads;
  const at::ScalarType dtype = q.scalar_type();
  // The queries that share a head of keys are one after another.
  const at::Tensor queries = q.reshape({sequences, tokens, layout.kv_heads, shared, layout.dim})
                                 .permute({0, 2, 3, 1, 4})
                                 .reshape({sequences, layout.kv_heads, shared * tokens, layout.dim});
  const at::Tensor keys = gathered(pages.keys, pages.key_scales, group.pages, sequences, dtype);
  const at::Tensor values = gathered(pages.values, pages.value_scales, group.pages, sequences, dtype);
  at::Tensor out;
  if (scores.softcap == 0) {
    out = at::scaled_dot_product_attention(queries, keys, values, group.mask, /*dropout_p=*/0.0, /*is_causal=*/false,
                                           scores.scale);
  } else {
    const auto wide = wide_dtype(dtype);
    const at::Tensor raw = at::matmul(queries.to(wide), keys.to(wide).transpose(2, 3)) * scores.scale;
    const at::Tensor weights = at::softmax(soft_cap(raw, scores.softcap) + group.mask, -1);
    out = at::matmul(weights, values.to(wide)).to(dtype);
  }
  return out.reshape({sequences, layout.kv_heads, shared, tokens, layout.dim})
      .permute({0, 3, 1, 2, 4})
      .reshape({sequences * tokens, layout.heads * layout.dim});
}

}  // namespace lora::aten
