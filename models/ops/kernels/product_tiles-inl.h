// The product on AMX; included by tile_product.cpp once an instruction set. A unit's sums stay in four tiles, and what
// is folded in is the sum of two bfloat16 each, their higher and lower 8 bits.
namespace on_tiles {

using namespace tiles;

HWY_INLINE void PackFolded(const FoldedTerm& folded, size_t first, float* to) {
  const size_t column_blocks = (folded.columns + 15) / 16;
  for (size_t part = 0; part < 2; ++part) {  // high, low
    for (size_t b = 0; b < folded.blocks; ++b) {
      for (size_t half = 0; half < 2; ++half, to += kFloats) {
        std::copy_n(folded.panel + ((b * column_blocks + first / 16 + half) * 2 + part) * kFloats, kFloats, to);
      }
    }
  }
}

// What vectors do while tiles multiply, a little at each step: rounding the unit before into C, asking for what this
// unit's place in C holds and for the next rows of A.
struct Meanwhile {
  size_t c_stride;
  bool add;
  size_t rows_each = 1;
  const float* sums = nullptr;  // of the unit before, as StoreSums writes them
  Bf16* before = nullptr;
  size_t rounded = kUnit;
  Bf16* here = nullptr;
  size_t asked = kUnit;
  Wanted a = {};

  HWY_INLINE void RoundRow() {
    const D d;
    Bf16* const to = before + rounded * c_stride;
    const float* const from = sums + rounded / kRows * 2 * kFloats + rounded % kRows * 16;
    auto low = hn::LoadU(d, from), high = hn::LoadU(d, from + kFloats);
    if (add) {
      low = hn::Add(low, LoadFloats(d, to));
      high = hn::Add(high, LoadFloats(d, to + 16));
    }
    StorePair(low, high, to);
    ++rounded;
  }
  HWY_INLINE void Step() {
    for (size_t i = 0; i < rows_each; ++i) {
      if (rounded < kUnit) RoundRow();
      if (asked < kUnit) asm volatile("prefetchw (%0)" ::"r"(here + asked++ * c_stride));
    }
    a.Ask();
  }
  HWY_INLINE void RoundAll() {
    while (rounded < kUnit) RoundRow();
  }
};

// The unit's tiles += 32 rows of A times 32 columns; b steps through its tiles.
HWY_INLINE const float* Accumulate(const Bf16* a, size_t a_stride, size_t steps, const float* b, Meanwhile& meanwhile) {
  const size_t bytes = a_stride * sizeof(Bf16);
  const Bf16* const below = a + kRows * a_stride;
  for (size_t s = 0; s < steps; ++s, b += 2 * kFloats) {
    Load<6>(b, 64);
    Load<4>(a + s * tiles::kDepth, bytes);
    Dot<0, 4, 6>();
    Load<7>(b + kFloats, 64);
    Dot<1, 4, 7>();
    Load<5>(below + s * tiles::kDepth, bytes);
    Dot<2, 5, 6>();
    Dot<3, 5, 7>();
    meanwhile.Step();
  }
  return b;
}

HWY_INLINE void StoreSums(float* tiles) {
  Store<0>(tiles, 64);
  Store<1>(tiles + kFloats, 64);
  Store<2>(tiles + 2 * kFloats, 64);
  Store<3>(tiles + 3 * kFloats, 64);
}

HWY_INLINE void StartSums(const float* tiles) {
  if (!tiles) {
    Zero<0>();
    Zero<1>();
    Zero<2>();
    Zero<3>();
  } else {
    Load<0>(tiles, 64);
    Load<1>(tiles + kFloats, 64);
    Load<2>(tiles + 2 * kFloats, 64);
    Load<3>(tiles + 3 * kFloats, 64);
  }
}

void Product(ProductTerms<Bf16> terms, const FoldedTerm& folded, size_t rows, ColumnRange now, Bf16* c, size_t c_stride,
             bool add, float* scratch) {
  const Scope scope;
  const size_t deepest = tile_chunk_depth(terms), units = now.count / kUnit,
               folded_floats = 4 * folded.blocks * kFloats;
  float* const sums[2] = {scratch, scratch + kSums};  // of a unit, and of the one before
  float* const packed = scratch + 2 * kSums;
  float* const partial = packed + units * (deepest * kUnit / 2 + folded_floats);  // of all units, between chunks
  const size_t split_stride = folded.blocks * 32;
  Meanwhile meanwhile{c_stride, add};
  size_t turn = 0;
  bool last = false;
  for (Chunk<Bf16> chunk = FirstChunk(terms[0]), then = chunk; !last; chunk = then) {
    const ProductTerm<Bf16>& term = *chunk.term;
    const bool first = &term == &terms[0] && chunk.k == 0;
    last = &term == &terms.back() && chunk.k + chunk.depth == term.depth;
    then = last ? chunk : NextChunk(chunk);
    const size_t steps = chunk.depth / tiles::kDepth, unit_floats = steps * 2 * kFloats + (last ? folded_floats : 0);
    PackChunk(chunk, now.first, units, unit_floats, packed);
    for (size_t u = 0; last && u < units; ++u) {
      PackFolded(folded, now.first + u * kUnit, packed + u * unit_floats + steps * 2 * kFloats);
    }
    const size_t unit_steps = steps + (last ? 2 * folded.blocks : 0);
    meanwhile.rows_each = (kUnit + unit_steps - 1) / unit_steps;
    for (size_t r = 0; r < rows; r += kUnit) {
      const Chunk<Bf16>& following = r + kUnit < rows ? chunk : then;
      const size_t row = r + kUnit < rows ? r + kUnit : 0;
      meanwhile.a = Wanted(following.term->a + row * following.term->a_stride + following.k, following.term->a_stride,
                           kUnit, following.depth);
      meanwhile.a.Share(units * unit_steps);
      for (size_t u = 0; u < units; ++u) {
        float* const kept = partial + (r / kUnit * units + u) * kSums;
        StartSums(first ? nullptr : kept);
        if (last) {
          meanwhile.here = c + r * c_stride + u * kUnit;
          meanwhile.asked = 0;
        }
        const float* b =
            Accumulate(term.a + r * term.a_stride + chunk.k, term.a_stride, steps, packed + u * unit_floats, meanwhile);
        if (!last) {
          StoreSums(kept);
          continue;
        }
        if (folded.blocks > 0) {
          const Bf16* const low = reinterpret_cast<const Bf16*>(folded.low) + r * split_stride;
          b = Accumulate(low, split_stride, folded.blocks, b, meanwhile);
          Accumulate(low, split_stride, folded.blocks, b, meanwhile);
        }
        meanwhile.RoundAll();
        float* const to = sums[turn++ % 2];
        StoreSums(to);
        meanwhile.sums = to;
        meanwhile.before = meanwhile.here;
        meanwhile.rounded = 0;
      }
    }
  }
  meanwhile.RoundAll();
}

// `low` as A tiles: the high parts of a block of 16, then the low ones.
void LayLow(const float* low, size_t low_stride, size_t rows, size_t blocks, float* laid) {
  auto* const split = reinterpret_cast<uint16_t*>(laid);
  const D d;
  const hn::Rebind<uint16_t, W> half;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t b = 0; b < blocks; ++b) {
      uint16_t* const to = split + (r * blocks + b) * 32;
      const Split s = SplitFloats(hn::LoadU(d, low + r * low_stride + b * 16));
      hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.high)), half, to);
      hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.low)), half, to + 16);
    }
  }
}

}  // namespace on_tiles
