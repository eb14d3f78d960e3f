// Attention in vectors (see attention.h), for each kind of word (see words-inl.h).

#if defined(LORA_ATTENTION_WORDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_ATTENTION_WORDS_INL_H_
#undef LORA_ATTENTION_WORDS_INL_H_
#else
#define LORA_ATTENTION_WORDS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "models/base/numbers.h"
#include "models/engine/cpu/attention.h"
#include "models/engine/cpu/product-inl.h"
#include "models/engine/cpu/scores-inl.h"
#include "models/engine/cpu/simd-inl.h"
#include "models/engine/cpu/words-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE {

template <class Words>
struct WordAttention {
  using Tiles = Products<Words>;

  template <class T>
  static void Pack(const AttentionHead<T>& head, const AttentionPanels& panels, bool backward) {
    const size_t row = attention_padded(head.tokens()), dim_row = attention_padded(head.dim());
    Words::Transposed(head.k, panels.k_transposed, row);
    if (backward) {
      Words::Transposed(head.v, panels.v_transposed, row);
      Words::Down(head.k, panels.k_rows, dim_row);
    } else {
      Words::Down(head.v, panels.v_rows, dim_row);
    }
  }

  template <class T>
  static void Forward(const AttentionHead<T>& head, const AttentionPanels& panels) {
    const Lanes d;
    const ScoreRow<T> score_row{head};
    const float weight = score_row.Weight();
    const size_t lanes = hn::Lanes(d);
    const size_t row = attention_padded(head.tokens()), dim_row = attention_padded(head.dim());
    const size_t depth = head.dim() / Words::kStep, word_row = dim_row / Words::kStep;
    float* const scores = head.scratch;
    float* const words = scores + kQueryBlock * row;
    float* const queries = words + kQueryBlock * row;
    float* const sums = queries + kQueryBlock * dim_row;
    for (size_t first = head.known; first < head.tokens(); first += kQueryBlock) {
      const size_t rows = HWY_MIN(kQueryBlock, head.tokens() - first);
      const size_t keys = first + rows, width = attention_padded(keys);
      const Matrix<float> block{scores, rows, width, row};
      Words::Across(head.q.row_range(first, rows), queries, word_row);
      Tiles::Product({queries, word_row, 1}, {panels.k_transposed, depth, width, row}, block, false);
      float inverse[kQueryBlock];
      for (size_t r = 0; r < rows; ++r) {
        float* const s = scores + r * row;
        const size_t seen = first + r + 1, whole = attention_padded(seen);
        score_row.Prepare(d, first + r, whole, s);
        Wide most = hn::Set(d, kNothing);
        for (size_t i = 0; i < whole; i += lanes) most = hn::Max(most, hn::LoadU(d, s + i));
        const float max = hn::GetLane(hn::MaxOfLanes(d, most));
        const Wide scale = hn::Set(d, weight), shift = hn::Set(d, -max * weight);
        Wide total = hn::Zero(d);
        for (size_t i = 0; i < whole; i += lanes) {
          const Wide e = Exp(d, hn::MulAdd(hn::LoadU(d, s + i), scale, shift));
          total = hn::Add(total, e);
          hn::StoreU(e, d, s + i);
        }
        for (size_t i = whole; i < width; i += lanes) hn::StoreU(hn::Zero(d), d, s + i);
        const float sum = hn::GetLane(hn::SumOfLanes(d, total));
        inverse[r] = 1.0f / sum;
        head.log_sum[first + r] = max * weight + std::log(sum);
      }
      Tiles::Product({Words::RowsOf(block, words), row / Words::kStep, 1},
                     {panels.v_rows, ceil_div(keys, Words::kStep), dim_row, dim_row},
                     Matrix<float>{sums, rows, dim_row, dim_row}, false);
      for (size_t r = 0; r < rows; ++r) {
        T* const out = head.out.row(first + r);
        ForEach(head.dim(), [&](auto tag, size_t i) HWY_ATTR {
          StoreFloats(tag, hn::Mul(LoadFloats(tag, sums + r * dim_row + i), hn::Set(tag, inverse[r])), out + i);
        });
      }
    }
  }

  template <class T>
  static void Backward(const AttentionHead<T>& head, const AttentionPanels& panels) {
    const Lanes d;
    const ScoreRow<T> score_row{head};
    const float weight = score_row.Weight();
    const size_t lanes = hn::Lanes(d);
    const size_t row = attention_padded(head.tokens()), dim_row = attention_padded(head.dim());
    const size_t depth = head.dim() / Words::kStep, word_row = dim_row / Words::kStep;
    float* const scores = head.scratch;  // then the probabilities
    float* const slopes = scores + kQueryBlock * row;
    float* const words = slopes + kQueryBlock * row;
    float* const queries = words + kQueryBlock * row;
    float* const douts = queries + kQueryBlock * dim_row;
    float* const down = douts + kQueryBlock * dim_row;
    float* const sums = down + kQueryBlock * dim_row;
    if (!head.adds) {
      std::fill_n(head.dk, head.tokens() * dim_row, 0.0f);
      std::fill_n(head.dv, head.tokens() * dim_row, 0.0f);
    }
    for (size_t first = head.known; first < head.tokens(); first += kQueryBlock) {
      const size_t rows = HWY_MIN(kQueryBlock, head.tokens() - first);
      const size_t keys = first + rows, width = attention_padded(keys);
      const size_t row_words = ceil_div(rows, Words::kStep);
      const Matrix<const T> q = head.q.row_range(first, rows), dout = head.dout.row_range(first, rows);
      const Matrix<float> score_block{scores, rows, width, row}, slope_block{slopes, rows, width, row};
      Words::Across(q, queries, word_row);
      Words::Across(dout, douts, word_row);
      Tiles::Product({queries, word_row, 1}, {panels.k_transposed, depth, width, row}, score_block, false);
      Tiles::Product({douts, word_row, 1}, {panels.v_transposed, depth, width, row}, slope_block, false);
      for (size_t r = 0; r < rows; ++r) {
        float* const s = scores + r * row;
        float* const g = slopes + r * row;
        const size_t seen = first + r + 1, whole = attention_padded(seen);
        const T* const out_row = head.out.row(first + r);
        const T* const dout_row = dout.row(r);
        const float along = SumOf(head.dim(), [&](auto tag, size_t i) HWY_ATTR {
          return hn::Mul(LoadFloats(tag, out_row + i), LoadFloats(tag, dout_row + i));
        });
        score_row.Prepare(d, first + r, whole, s);
        const Wide scale = hn::Set(d, weight), shift = hn::Set(d, -head.log_sum[first + r]);
        const Wide mean = hn::Set(d, along);
        for (size_t i = 0; i < whole; i += lanes) {
          const Wide score = hn::LoadU(d, s + i), p = Exp(d, hn::MulAdd(score, scale, shift));
          hn::StoreU(p, d, s + i);
          hn::StoreU(hn::Mul(hn::Mul(p, score_row.Slope(d, score)), hn::Sub(hn::LoadU(d, g + i), mean)), d, g + i);
        }
        for (size_t i = whole; i < width; i += lanes) {
          hn::StoreU(hn::Zero(d), d, s + i);
          hn::StoreU(hn::Zero(d), d, g + i);
        }
      }
      // dV += Pᵀ·dO, dK += dSᵀ·Q, dQ = dS·K
      const auto add_gradient = [&](Matrix<const float> factors, Matrix<const T> side, float* gradient) HWY_ATTR {
        Words::Down(side, down, dim_row);
        Tiles::Product({Words::ColumnsOf(factors, words), 1, row}, {down, row_words, dim_row, dim_row},
                       Matrix<float>{gradient, keys, dim_row, dim_row}, true);
      };
      add_gradient(score_block, dout, head.dv);
      add_gradient(slope_block, q, head.dk);
      Tiles::Product({Words::RowsOf(slope_block, words), row / Words::kStep, 1},
                     {panels.k_rows, ceil_div(keys, Words::kStep), dim_row, dim_row},
                     Matrix<float>{sums, rows, dim_row, dim_row}, false);
      for (size_t r = 0; r < rows; ++r) {
        T* const dq = head.dq.row(first + r);
        ForEach(head.dim(), [&](auto tag, size_t i)
                                HWY_ATTR { StoreFloats(tag, LoadFloats(tag, sums + r * dim_row + i), dq + i); });
      }
    }
  }
};

}  // namespace lora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LORA_ATTENTION_WORDS_INL_H_
