// Attention on AMX, for bfloat16 (see attention.h, tiles-inl.h).
//
// Panels are B tiles. Of k_transposed and v_transposed [block of 16 keys][block of 32 of dim], of k_rows and v_rows
// [block of 32 keys][block of 16 of dim]. The gradients of keys and values are summed transposed, (dim, keys), as C
// tiles [block of 16 keys][block of 16 of dim]: so probabilities are the B side, whose tiles are pairs of their rows.

#if defined(LORA_ATTENTION_AMX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORA_ATTENTION_AMX_INL_H_
#undef LORA_ATTENTION_AMX_INL_H_
#else
#define LORA_ATTENTION_AMX_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "models/base/numbers.h"
#include "models/engine/cpu/attention.h"
#include "models/engine/cpu/scores-inl.h"
#include "models/engine/cpu/simd-inl.h"
#include "models/engine/cpu/tiles-inl.h"

#if LORA_AVX512
HWY_BEFORE_NAMESPACE();
namespace lora::kernels::HWY_NAMESPACE::tiles {

constexpr size_t kMostAmxDim = 512;  // rows of this length fit on the stack

inline size_t To32(size_t n) { return round_up<size_t>(n, 32); }

// `from` with zeros up to padded_rows rows and To32 columns, in `copy`; `from` itself where it has this shape.
inline Matrix<const Bf16> Padded(Matrix<const Bf16> from, size_t padded_rows, Bf16* copy) {
  const size_t width = To32(from.columns);
  if (from.rows == padded_rows && from.columns == width) return from;
  std::fill_n(copy, padded_rows * width, Bf16{0});
  for (size_t r = 0; r < from.rows; ++r) std::copy_n(from.row(r), from.columns, copy + r * width);
  return {copy, padded_rows, width, width};
}

struct AmxAttention {
  static void PackTransposed(Matrix<const Bf16> from, float* to) {
    Bf16 copy[16 * kMostAmxDim];
    for (size_t k = 0; k < To32(from.rows); k += 16) {
      const size_t rows = k < from.rows ? HWY_MIN(size_t{16}, from.rows - k) : 0;
      const Matrix<const Bf16> block = Padded(from.row_range(k, rows), 16, copy);
      for (size_t i = 0; i < from.columns; i += kDepth, to += kFloats) {
        TransposeBlock(block.data + i, block.stride / 2, to);
      }
    }
  }

  static void PackRows(Matrix<const Bf16> from, float* to) {
    Bf16 copy[32 * kMostAmxDim];
    for (size_t k = 0; k < from.rows; k += 32) {
      const Matrix<const Bf16> block = Padded(from.row_range(k, HWY_MIN(size_t{32}, from.rows - k)), 32, copy);
      for (size_t i = 0; i < from.columns; i += 16, to += kFloats) PairRows(block.data + i, block.stride, 32, to);
    }
  }

  static void Pack(const AttentionHead<Bf16>& head, const AttentionPanels& panels, bool backward) {
    PackTransposed(head.k, panels.k_transposed);
    if (backward) {
      PackTransposed(head.v, panels.v_transposed);
      PackRows(head.k, panels.k_rows);
    } else {
      PackRows(head.v, panels.v_rows);
    }
  }

  // (32, width) float32 = 32 rows times transposed keys.
  static void Scores(const Matrix<const Bf16>& rows, size_t steps, const float* panel, size_t width, float* scores) {
    const size_t bytes = rows.stride * sizeof(Bf16);
    for (size_t k = 0; k < width; k += 32) {
      Zero<0>();
      Zero<1>();
      Zero<2>();
      Zero<3>();
      for (size_t s = 0; s < steps; ++s) {
        const float* const tile = panel + (k / 16 * steps + s) * kFloats;
        Load<4>(rows.data + s * kDepth, bytes);
        Load<6>(tile, 64);
        Dot<0, 4, 6>();
        Load<7>(tile + steps * kFloats, 64);
        Dot<1, 4, 7>();
        Load<5>(rows.row(16) + s * kDepth, bytes);
        Dot<2, 5, 6>();
        Dot<3, 5, 7>();
      }
      Store<0>(scores + k, width * sizeof(float));
      Store<1>(scores + k + 16, width * sizeof(float));
      Store<2>(scores + 16 * width + k, width * sizeof(float));
      Store<3>(scores + 16 * width + k + 16, width * sizeof(float));
    }
  }

  // (32, dim to 16) float32 = (32, width) bfloat16 times rows of keys or values.
  static void Mix(const Bf16* factors, size_t width, const float* panel, size_t blocks, float* sums) {
    const size_t bytes = width * sizeof(Bf16), row = blocks * 16 * sizeof(float);
    for (size_t b = 0; b < blocks; b += 2) {
      const bool two = b + 1 < blocks;
      Zero<0>();
      Zero<1>();
      Zero<2>();
      Zero<3>();
      for (size_t k = 0; k < width; k += 32) {
        const float* const tile = panel + (k / 32 * blocks + b) * kFloats;
        Load<4>(factors + k, bytes);
        Load<5>(factors + 16 * width + k, bytes);
        Load<6>(tile, 64);
        Dot<0, 4, 6>();
        Dot<2, 5, 6>();
        if (two) {
          Load<7>(tile + kFloats, 64);
          Dot<1, 4, 7>();
          Dot<3, 5, 7>();
        }
      }
      Store<0>(sums + b * 16, row);
      Store<2>(sums + 16 * blocks * 16 + b * 16, row);
      if (two) {
        Store<1>(sums + b * 16 + 16, row);
        Store<3>(sums + 16 * blocks * 16 + b * 16 + 16, row);
      }
    }
  }

  static void Forward(const AttentionHead<Bf16>& head, const AttentionPanels& panels) {
    const Scope scope;
    const D d;
    const ScoreRow<Bf16> score_row{head};
    const float weight = score_row.Weight();
    const size_t blocks = attention_padded(head.dim()) / 16, steps = To32(head.dim()) / kDepth;
    float* const scores = head.scratch;
    auto* const factors = reinterpret_cast<Bf16*>(scores + kQueryBlock * To32(head.tokens()));
    float* const sums = scores + kQueryBlock * 2 * To32(head.tokens());
    auto* const copy = reinterpret_cast<Bf16*>(sums + kQueryBlock * blocks * 16);
    for (size_t first = head.known; first < head.tokens(); first += kQueryBlock) {
      const size_t rows = HWY_MIN(kQueryBlock, head.tokens() - first), width = To32(first + rows);
      Scores(Padded(head.q.row_range(first, rows), kQueryBlock, copy), steps, panels.k_transposed, width, scores);
      float inverse[kQueryBlock];
      for (size_t r = 0; r < rows; ++r) {
        float* const s = scores + r * width;
        Bf16* const p = factors + r * width;
        const size_t seen = first + r + 1, whole = attention_padded(seen);
        score_row.Prepare(d, first + r, whole, s);
        auto most = hn::Set(d, kNothing);
        for (size_t i = 0; i < whole; i += 16) most = hn::Max(most, hn::LoadU(d, s + i));
        const float max = hn::GetLane(hn::MaxOfLanes(d, most));
        const auto scale = hn::Set(d, weight), shift = hn::Set(d, -max * weight);
        auto total = hn::Zero(d);
        for (size_t i = 0; i < whole; i += 16) {
          const auto e = Exp(d, hn::MulAdd(hn::LoadU(d, s + i), scale, shift));
          total = hn::Add(total, e);
          StoreFloats(d, e, p + i);
        }
        std::fill(p + whole, p + width, Bf16{0});
        const float sum = hn::GetLane(hn::SumOfLanes(d, total));
        inverse[r] = 1.0f / sum;
        head.log_sum[first + r] = max * weight + std::log(sum);
      }
      if (rows < kQueryBlock) std::fill_n(factors + rows * width, (kQueryBlock - rows) * width, Bf16{0});
      Mix(factors, width, panels.v_rows, blocks, sums);
      for (size_t r = 0; r < rows; ++r) {
        Bf16* const out = head.out.row(first + r);
        ForEach(head.dim(), [&](auto tag, size_t i) HWY_ATTR {
          StoreFloats(tag, hn::Mul(LoadFloats(tag, sums + r * blocks * 16 + i), hn::Set(tag, inverse[r])), out + i);
        });
      }
    }
  }

  // The tiles of sums (dim, keys) += xᵀ · factors: x (32, dim) as A tiles, factors (32, width) bfloat16.
  static void SumTransposed(const float* x_tiles, const Bf16* factors, size_t width, size_t blocks, float* sums) {
    alignas(64) float pairs[kFloats];
    for (size_t k = 0; k < width; k += 16, sums += blocks * kFloats) {
      PairRows(factors + k, width, 32, pairs);
      Load<7>(pairs, 64);
      for (size_t b = 0; b < blocks; b += 2) {
        float* const sum = sums + b * kFloats;
        Load<0>(sum, 64);
        Load<4>(x_tiles + b * kFloats, 64);
        Dot<0, 4, 7>();
        if (b + 1 < blocks) {
          Load<1>(sum + kFloats, 64);
          Load<5>(x_tiles + (b + 1) * kFloats, 64);
          Dot<1, 5, 7>();
          Store<1>(sum + kFloats, 64);
        }
        Store<0>(sum, 64);
      }
    }
  }

  // (32, dim) as A tiles of its transpose, one for each 16 of dim.
  static void TransposeRows(const Matrix<const Bf16>& rows, size_t blocks, float* to) {
    alignas(64) float pairs[kFloats];
    for (size_t b = 0; b < blocks; ++b) {
      PairRows(rows.data + b * 16, rows.stride, 32, pairs);
      TransposeBlock(pairs, 16, to + b * kFloats);
    }
  }

  // (tokens, dim to 16) float32 from tiles of (dim, keys), or added to them.
  static void Untranspose(const float* sums, size_t tokens, size_t blocks, bool add, float* to) {
    const D d;
    alignas(64) float tile[kFloats];
    for (size_t k = 0; k < tokens; k += 16) {
      for (size_t b = 0; b < blocks; ++b, sums += kFloats) {
        TransposeBlock(sums, 16, tile);
        for (size_t i = 0; i < HWY_MIN(size_t{16}, tokens - k); ++i) {
          float* const row = to + (k + i) * blocks * 16 + b * 16;
          const auto sum = hn::Load(d, tile + i * 16);
          hn::StoreU(add ? hn::Add(sum, hn::LoadU(d, row)) : sum, d, row);
        }
      }
    }
  }

  static void Backward(const AttentionHead<Bf16>& head, const AttentionPanels& panels) {
    const Scope scope;
    const D d;
    const ScoreRow<Bf16> score_row{head};
    const float weight = score_row.Weight();
    const size_t blocks = attention_padded(head.dim()) / 16, steps = To32(head.dim()) / kDepth;
    const size_t all = To32(head.tokens());
    float* const scores = head.scratch;
    float* const slopes = scores + kQueryBlock * all;
    auto* const factors = reinterpret_cast<Bf16*>(slopes + kQueryBlock * all);  // probabilities
    auto* const grads = factors + kQueryBlock * all;                            // gradients of scores
    float* const sums = slopes + 2 * kQueryBlock * all;
    float* const q_tiles = sums + kQueryBlock * blocks * 16;
    float* const dout_tiles = q_tiles + blocks * kFloats;
    float* const dk = dout_tiles + blocks * kFloats;
    float* const dv = dk + all * blocks * 16;
    auto* const q_copy = reinterpret_cast<Bf16*>(dv + all * blocks * 16);
    auto* const dout_copy = q_copy + kQueryBlock * To32(head.dim());
    std::fill_n(dk, 2 * all * blocks * 16, 0.0f);
    for (size_t first = head.known; first < head.tokens(); first += kQueryBlock) {
      const size_t rows = HWY_MIN(kQueryBlock, head.tokens() - first), width = To32(first + rows);
      const Matrix<const Bf16> q = Padded(head.q.row_range(first, rows), kQueryBlock, q_copy);
      const Matrix<const Bf16> g = Padded(head.dout.row_range(first, rows), kQueryBlock, dout_copy);
      Scores(q, steps, panels.k_transposed, width, scores);
      Scores(g, steps, panels.v_transposed, width, slopes);
      for (size_t r = 0; r < rows; ++r) {
        float* const s = scores + r * width;
        const size_t seen = first + r + 1, whole = attention_padded(seen);
        const Bf16* const out = head.out.row(first + r);
        const Bf16* const dout = head.dout.row(first + r);
        const float along = SumOf(head.dim(), [&](auto tag, size_t i) HWY_ATTR {
          return hn::Mul(LoadFloats(tag, out + i), LoadFloats(tag, dout + i));
        });
        score_row.Prepare(d, first + r, whole, s);
        const auto scale = hn::Set(d, weight), shift = hn::Set(d, -head.log_sum[first + r]);
        const auto mean = hn::Set(d, along);
        for (size_t i = 0; i < whole; i += 16) {
          const auto score = hn::LoadU(d, s + i), p = Exp(d, hn::MulAdd(score, scale, shift));
          StoreFloats(d, p, factors + r * width + i);
          StoreFloats(
              d, hn::Mul(hn::Mul(p, score_row.Slope(d, score)), hn::Sub(hn::LoadU(d, slopes + r * width + i), mean)),
              grads + r * width + i);
        }
        std::fill(factors + r * width + whole, factors + (r + 1) * width, Bf16{0});
        std::fill(grads + r * width + whole, grads + (r + 1) * width, Bf16{0});
      }
      if (rows < kQueryBlock) {
        std::fill_n(factors + rows * width, (kQueryBlock - rows) * width, Bf16{0});
        std::fill_n(grads + rows * width, (kQueryBlock - rows) * width, Bf16{0});
      }
      // dVᵀ += dOᵀ·P, dKᵀ += Qᵀ·dS, dQ = dS·K
      TransposeRows(g, blocks, dout_tiles);
      SumTransposed(dout_tiles, factors, width, blocks, dv);
      TransposeRows(q, blocks, q_tiles);
      SumTransposed(q_tiles, grads, width, blocks, dk);
      Mix(grads, width, panels.k_rows, blocks, sums);
      for (size_t r = 0; r < rows; ++r) {
        Bf16* const dq = head.dq.row(first + r);
        ForEach(head.dim(), [&](auto tag, size_t i)
                                HWY_ATTR { StoreFloats(tag, LoadFloats(tag, sums + r * blocks * 16 + i), dq + i); });
      }
    }
    Untranspose(dk, head.tokens(), blocks, head.adds, head.dk);
    Untranspose(dv, head.tokens(), blocks, head.adds, head.dv);
  }
};

}  // namespace lora::kernels::HWY_NAMESPACE::tiles
HWY_AFTER_NAMESPACE();
#endif  // LORA_AVX512

#endif  // LORA_ATTENTION_AMX_INL_H_
