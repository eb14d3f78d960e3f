// The product in registers, of float32 on AVX-512 and of bfloat16 on AVX512-BF16, which multiplies pairs of them in all
// lanes; included by tile_product.cpp once an instruction set. 8 rows of a unit at a time stay in 16 registers, and
// what is folded in is float32 throughout.
namespace on_vectors {

constexpr size_t kRows = 8;
constexpr size_t kSteps = 16;  // summed apart from what came before: the error of a long sum stays that of a short one

using Floats16 = hn::Vec<D>;

// 8 rows of sums lie in memory row by row between the steps below, each of which takes them into registers. (Not
// inlined: the compiler then keeps them there.) Null stands for zeros.
#define LORA_EACH_ROW _Pragma("GCC unroll 8") for (size_t r = 0; r < kRows; ++r)

// sum += a · b in each word.
HWY_INLINE void Dot(Floats16& sum, Word a, Word b, Bf16) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
}
HWY_INLINE void Dot(Floats16& sum, Word a, Word b, float) {
  const D d;
  sum = hn::MulAdd(hn::BitCast(d, a), hn::BitCast(d, b), sum);
}

// sums = from + 8 rows of A times the 32 columns of `steps` steps of B.
template <class T>
HWY_NOINLINE void Multiply(const T* a, size_t a_stride, size_t steps, const float* b, const float* from, float* sums) {
  const D d;
  const W w;
  Floats16 left[kRows], right[kRows];
  LORA_EACH_ROW left[r] = right[r] = hn::Zero(d);
  for (size_t s = 0; s < steps; ++s, b += kFloats) {
    for (size_t i = 0; i < 16; ++i, a += sizeof(float) / sizeof(T), b += 16) {
      const Word first = hn::BitCast(w, hn::LoadU(d, b)), second = hn::BitCast(w, hn::LoadU(d, b + kFloats));
      LORA_EACH_ROW {
        uint32_t word;
        std::memcpy(&word, a + r * a_stride, sizeof(word));
        const Word all = hn::Set(w, word);
        Dot(left[r], all, first, T());
        Dot(right[r], all, second, T());
      }
    }
  }
  LORA_EACH_ROW {
    if (from) {
      left[r] = hn::Add(left[r], hn::LoadU(d, from + r * kUnit));
      right[r] = hn::Add(right[r], hn::LoadU(d, from + r * kUnit + 16));
    }
    hn::StoreU(left[r], d, sums + r * kUnit);
    hn::StoreU(right[r], d, sums + r * kUnit + 16);
  }
}

// C = sums + 8 rows of `low` times `ranks` rows of the panel, or C +=.
template <class T>
HWY_NOINLINE void Finish(const float* low, size_t ranks, const float* panel, const float* sums, T* c, size_t c_stride,
                         bool add) {
  const D d;
  Floats16 left[kRows], right[kRows];
  LORA_EACH_ROW {
    left[r] = hn::LoadU(d, sums + r * kUnit);
    right[r] = hn::LoadU(d, sums + r * kUnit + 16);
  }
  for (size_t k = 0; k < ranks; ++k, panel += kUnit) {
    const Floats16 first = hn::LoadU(d, panel), second = hn::LoadU(d, panel + 16);
    LORA_EACH_ROW {
      const Floats16 factor = hn::Set(d, low[r * ranks + k]);
      left[r] = hn::MulAdd(factor, first, left[r]);
      right[r] = hn::MulAdd(factor, second, right[r]);
    }
  }
  LORA_EACH_ROW {
    T* const to = c + r * c_stride;
    if (add) {
      left[r] = hn::Add(left[r], LoadFloats(d, to));
      right[r] = hn::Add(right[r], LoadFloats(d, to + 16));
    }
    StorePair(left[r], right[r], to);
  }
}
#undef LORA_EACH_ROW

// The panel's 32 columns from `first` on, side by side.
HWY_INLINE void PackFolded(const FoldedTerm& folded, size_t first, float* to) {
  const size_t width = padded_rank(folded.columns);
  for (size_t k = 0; k < 16 * folded.blocks; ++k) std::copy_n(folded.panel + k * width + first, kUnit, to + k * kUnit);
}

template <class T>
void Product(ProductTerms<T> terms, const FoldedTerm& folded, size_t rows, ColumnRange columns, T* c, size_t c_stride,
             bool add, float* scratch) {
  const size_t units = columns.count / kUnit, ranks = 16 * folded.blocks, folded_floats = ranks * kUnit;
  float* const sums = scratch;
  float* const packed = sums + kRows * kUnit;
  float* const partial = packed + units * (tile_chunk_depth(terms) * sizeof(T) / sizeof(float) * kUnit + folded_floats);
  bool last = false;
  for (Chunk<T> chunk = FirstChunk(terms[0]); !last; chunk = last ? chunk : NextChunk(chunk)) {
    const ProductTerm<T>& term = *chunk.term;
    const bool first = &term == &terms[0] && chunk.k == 0;
    last = &term == &terms.back() && chunk.k + chunk.depth == term.depth;
    const size_t steps = chunk.depth / kDepth<T>, unit_floats = steps * 2 * kFloats + (last ? folded_floats : 0);
    PackChunk(chunk, columns.first, units, unit_floats, packed);
    for (size_t u = 0; last && u < units; ++u) {
      PackFolded(folded, columns.first + u * kUnit, packed + (u + 1) * unit_floats - folded_floats);
    }
    for (size_t r = 0; r < rows; r += kUnit) {
      for (size_t u = 0; u < units; ++u) {
        const float* const b = packed + u * unit_floats;
        for (size_t part = r; part < r + kUnit; part += kRows) {
          float* const kept = partial + (part * units + u * kRows) * kUnit;
          const T* const a = term.a + part * term.a_stride + chunk.k;
          const float* before = first ? nullptr : kept;
          float* const after = last ? sums : kept;
          for (size_t s = 0; s < steps; s += kSteps, before = after) {
            const size_t now = HWY_MIN(kSteps, steps - s);
            Multiply(a + s * kDepth<T>, term.a_stride, now, b + s * 2 * kFloats, before, after);
          }
          if (!last) continue;
          Finish(folded.low + part * ranks, ranks, b + steps * 2 * kFloats, sums, c + part * c_stride + u * kUnit,
                 c_stride, add);
        }
      }
    }
  }
}

void LayLow(const float* low, size_t low_stride, size_t rows, size_t blocks, float* laid) {
  for (size_t r = 0; r < rows; ++r) std::copy_n(low + r * low_stride, 16 * blocks, laid + r * 16 * blocks);
}

}  // namespace on_vectors
