#include "models/engine/cpu/paged_attention.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "models/engine/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/engine/cpu/paged_attention.cpp"
#include <hwy/foreach_target.h>
// What follows is compiled once an instruction set.
#include <hwy/highway.h>

#include "models/engine/cpu/scores-inl.h"
#include "models/engine/cpu/simd-inl.h"
#include "models/engine/cpu/words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

// Vectors of neighbouring tokens, or of neighbouring dimensions, that are summed together.
constexpr size_t kAcross = 2;

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const int8_t* from) {
  const hn::Rebind<int8_t, D> codes;
  const hn::RebindToSigned<D> whole;
  return hn::ConvertTo(d, hn::PromoteTo(whole, hn::LoadU(codes, from)));
}

// The scales of the tokens of a head in a page.
HWY_INLINE const float* ScalesOf(const int8_t* head, size_t dim) {
  return reinterpret_cast<const float*>(head + kPage * dim);
}

// The tokens of a call: all that one of its queries sees.
struct SeenTokens {
  size_t first_page, pages;
};

template <class T>
SeenTokens TokensSeen(const PagedQueries<T>& all) {
  const size_t last = all.seen[all.count - 1], first = all.seen[0];
  const size_t begin = all.window != 0 && first > all.window ? first - all.window : 0;
  return {begin / kPage, ceil_div(last, kPage)};
}

// Fetches n elements into the second cache, where a page ahead has room.
template <class T>
HWY_INLINE void Fetch(const T* from, size_t n) {
  for (size_t i = 0; i < n; i += 64 / sizeof(T)) __builtin_prefetch(from + i, 0, 2);
}

// Scores of R queries, q·k, from page to page: rows of `to` are to_row floats apart.
template <size_t R, class T>
HWY_INLINE void PageScores(const PagedQueries<T>& all, size_t first, SeenTokens seen, float* to, size_t to_row) {
  const Lanes d;
  const size_t lanes = hn::Lanes(d);
  for (size_t page = seen.first_page; page < seen.pages; ++page) {
    const T* const keys = all.pages[page] + all.keys;
    // What is read next, of the same size: pages lie anywhere in memory.
    const T* const next =
        page + 1 < seen.pages ? all.pages[page + 1] + all.keys : all.pages[seen.first_page] + all.values;
    float* const row = to + (page - seen.first_page) * kPage;
    size_t token = 0;
    for (; token + kAcross * lanes <= kPage; token += kAcross * lanes) {
      Wide sums[R][kAcross];
      for (size_t r = 0; r < R; ++r) {
        for (size_t v = 0; v < kAcross; ++v) sums[r][v] = hn::Zero(d);
      }
      const T* column = keys + token;
      for (size_t i = 0; i < all.dim; ++i, column += kPage) {
        if (token == 0) Fetch(next + i * kPage, kPage);
        Wide k[kAcross];
        for (size_t v = 0; v < kAcross; ++v) k[v] = LoadFloats(d, column + v * lanes);
        for (size_t r = 0; r < R; ++r) {
          const Wide q = hn::Set(d, all.q[first + r][i]);
          for (size_t v = 0; v < kAcross; ++v) sums[r][v] = hn::MulAdd(q, k[v], sums[r][v]);
        }
      }
      if constexpr (std::is_same_v<T, int8_t>) {
        for (size_t v = 0; v < kAcross; ++v) {
          const Wide scales = hn::LoadU(d, ScalesOf(keys, all.dim) + token + v * lanes);
          for (size_t r = 0; r < R; ++r) sums[r][v] = hn::Mul(sums[r][v], scales);
        }
      }
      for (size_t r = 0; r < R; ++r) {
        for (size_t v = 0; v < kAcross; ++v) hn::StoreU(sums[r][v], d, row + r * to_row + token + v * lanes);
      }
    }
  }
}

// Scores become probabilities that are not divided yet; returns what to multiply the result by.
template <class T>
float SoftmaxOfRow(const PagedQueries<T>& all, size_t query, SeenTokens seen, float* row) {
  const Lanes d;
  const size_t lanes = hn::Lanes(d), width = (seen.pages - seen.first_page) * kPage;
  const size_t begin = seen.first_page * kPage, end = all.seen[query];
  const size_t first = all.window != 0 && end > all.window ? HWY_MAX(begin, end - all.window) : begin;
  const auto weight = hn::Set(d, all.scale);
  if (all.softcap != 0) {
    const auto inner = hn::Set(d, all.scale / all.softcap), outer = hn::Set(d, all.softcap);
    for (size_t i = 0; i < width; i += lanes) {
      hn::StoreU(hn::Mul(outer, Tanh(d, hn::Mul(inner, hn::LoadU(d, row + i)))), d, row + i);
    }
  } else {
    for (size_t i = 0; i < width; i += lanes) hn::StoreU(hn::Mul(weight, hn::LoadU(d, row + i)), d, row + i);
  }
  std::fill(row, row + (first - begin), kNothing);
  std::fill(row + (end - begin), row + width, kNothing);
  auto most = hn::Set(d, kNothing);
  for (size_t i = 0; i < width; i += lanes) most = hn::Max(most, hn::LoadU(d, row + i));
  const auto max = hn::MaxOfLanes(d, most);
  auto sum = hn::Zero(d);
  for (size_t i = 0; i < width; i += lanes) {
    const auto p = Exp(d, hn::Sub(hn::LoadU(d, row + i), max));
    sum = hn::Add(sum, p);
    hn::StoreU(p, d, row + i);
  }
  return 1.0f / hn::GetLane(hn::SumOfLanes(d, sum));
}

// Probabilities of a row become those of the values' codes.
void ScaleProbabilities(const PagedQueries<int8_t>& all, SeenTokens seen, float* row) {
  const Lanes d;
  for (size_t page = seen.first_page; page < seen.pages; ++page, row += kPage) {
    const float* const scales = ScalesOf(all.pages[page] + all.values, all.dim);
    for (size_t t = 0; t < kPage; t += hn::Lanes(d)) {
      hn::StoreU(hn::Mul(hn::LoadU(d, row + t), hn::LoadU(d, scales + t)), d, row + t);
    }
  }
}

// V vectors of the results of R queries, from dimension i on.
template <size_t R, size_t V, class T>
HWY_INLINE void MixValues(const PagedQueries<T>& all, size_t first, SeenTokens seen, const float* p, size_t p_row,
                          const float* inverse, size_t i) {
  const Lanes d;
  const size_t lanes = hn::Lanes(d);
  Wide sums[R][V];
  for (size_t r = 0; r < R; ++r) {
    for (size_t v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
  }
  for (size_t page = seen.first_page; page < seen.pages; ++page) {
    const T* value = all.pages[page] + all.values + i;
    const T* next = all.pages[HWY_MIN(page + 1, seen.pages - 1)] + all.values + i;
    const float* const weights = p + (page - seen.first_page) * kPage;
    for (size_t token = 0; token < kPage; ++token, value += all.dim, next += all.dim) {
      Fetch(next, V * lanes);
      Wide values[V];
      for (size_t v = 0; v < V; ++v) values[v] = LoadFloats(d, value + v * lanes);
      for (size_t r = 0; r < R; ++r) {
        const Wide weight = hn::Set(d, weights[r * p_row + token]);
        for (size_t v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(weight, values[v], sums[r][v]);
      }
    }
  }
  for (size_t r = 0; r < R; ++r) {
    const Wide scale = hn::Set(d, inverse[r]);
    for (size_t v = 0; v < V; ++v) hn::StoreU(hn::Mul(scale, sums[r][v]), d, all.out[first + r] + i + v * lanes);
  }
}

template <size_t R, class T>
HWY_NOINLINE void AttendRows(const PagedQueries<T>& all, size_t first, SeenTokens seen, size_t width) {
  const Lanes d;
  const size_t lanes = hn::Lanes(d);
  float* const scores = all.scratch + first * width;
  PageScores<R>(all, first, seen, scores, width);
  float inverse[R];
  for (size_t r = 0; r < R; ++r) {
    inverse[r] = SoftmaxOfRow(all, first + r, seen, scores + r * width);
    if constexpr (std::is_same_v<T, int8_t>) ScaleProbabilities(all, seen, scores + r * width);
  }
  size_t i = 0;
  for (; i + kAcross * lanes <= all.dim; i += kAcross * lanes) {
    MixValues<R, kAcross>(all, first, seen, scores, width, inverse, i);
  }
  for (; i + lanes <= all.dim; i += lanes) MixValues<R, 1>(all, first, seen, scores, width, inverse, i);
  for (; i < all.dim; ++i) {
    for (size_t r = 0; r < R; ++r) {
      const OneFloat one;
      auto sum = hn::Zero(one);
      for (size_t t = seen.first_page * kPage; t < all.seen[first + r]; ++t) {
        const T* const value = all.pages[t / kPage] + all.values + t % kPage * all.dim + i;
        const float weight = scores[r * width + t - seen.first_page * kPage];
        sum = hn::MulAdd(hn::Set(one, weight), LoadFloats(one, value), sum);
      }
      all.out[first + r][i] = hn::GetLane(sum) * inverse[r];
    }
  }
}

template <class T>
void Attend(const PagedQueries<T>& all) {
  const SeenTokens seen = TokensSeen(all);
  const size_t width = (seen.pages - seen.first_page) * kPage;
  constexpr size_t kRows = HWY_MAX_BYTES >= 64 ? 8 : 4;  // as many sums as there are registers for
  size_t first = 0;
  for (; first + kRows <= all.count; first += kRows) AttendRows<kRows>(all, first, seen, width);
  if (kRows > 4 && first + 4 <= all.count) {
    AttendRows<4>(all, first, seen, width);
    first += 4;
  }
  for (; first + 3 <= all.count; first += 3) AttendRows<3>(all, first, seen, width);
  for (; first < all.count; ++first) AttendRows<1>(all, first, seen, width);
}

template <class T>
void StoreToken(const float* key, const float* value, size_t dim, size_t slot, T* keys, T* values) {
  const OneFloat one;
  for (size_t i = 0; i < dim; ++i) StoreFloats(one, hn::Set(one, key[i]), keys + i * kPage + slot);
  T* const to = values + slot * dim;
  ForEach(dim, [&](auto d, size_t i) HWY_ATTR { StoreFloats(d, LoadFloats(d, value + i), to + i); });
}

// Codes of the numbers of a token, `apart` elements from one to the next; returns their scale.
float StoreCodes(const float* from, size_t dim, int8_t* to, size_t apart) {
  float most = 0;
  for (size_t i = 0; i < dim; ++i) most = std::max(most, std::abs(from[i]));
  const float inverse = most > 0 ? 127 / most : 0;
  for (size_t i = 0; i < dim; ++i) to[i * apart] = static_cast<int8_t>(std::lrint(from[i] * inverse));
  return most / 127;
}

void StoreTokenCodes(const float* key, const float* value, size_t dim, size_t slot, int8_t* keys, int8_t* values) {
  const auto scales = [&](int8_t* head) { return reinterpret_cast<float*>(head + kPage * dim); };
  scales(keys)[slot] = StoreCodes(key, dim, keys + slot, kPage);
  scales(values)[slot] = StoreCodes(value, dim, values + slot * dim, 1);
}

using PagedKernels =
    std::tuple<PagedAttentionKernels<float>, PagedAttentionKernels<Bf16>, PagedAttentionKernels<int8_t>>;

const PagedKernels& PagedTable() {
  static const PagedKernels all = {{.attend = Attend<float>, .store = StoreToken<float>},
                                   {.attend = Attend<Bf16>, .store = StoreToken<Bf16>},
                                   {.attend = Attend<int8_t>, .store = StoreTokenCodes}};
  return all;
}

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lora::kernels {

HWY_EXPORT(PagedTable);
template <class T>
const PagedAttentionKernels<T>& paged_attention_kernels() {
  return std::get<PagedAttentionKernels<T>>(HWY_DYNAMIC_DISPATCH(PagedTable)());
}
template const PagedAttentionKernels<float>& paged_attention_kernels();
template const PagedAttentionKernels<Bf16>& paged_attention_kernels();
template const PagedAttentionKernels<int8_t>& paged_attention_kernels();

}  // namespace lora::kernels
#endif
