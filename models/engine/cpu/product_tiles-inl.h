// The product on AMX; included by weight_product.cpp once an instruction set. A unit's sums stay in four tiles, and
// what is folded in is the sum of two bfloat16 each, their higher and lower 8 bits.
namespace on_tiles {

using namespace tiles;

// What vectors do while tiles multiply, a little at each step: rounding the unit before into C, asking for what this
// unit's place in C holds and for the next rows of A.
struct Meanwhile {
  const Bf16* added;  // as the product has it
  Bf16* c;
  size_t c_stride;
  size_t rows_each = 1;
  const float* sums = nullptr;  // of the unit before, as StoreSums writes them
  size_t before = 0, rounded = kUnit;
  size_t here = 0, asked = kUnit;
  Wanted a = {};

  HWY_INLINE void RoundRow() {
    const D d;
    const size_t place = before + rounded * c_stride;
    const float* const from = sums + rounded / kRows * 2 * kFloats + rounded % kRows * 16;
    auto low = hn::LoadU(d, from), high = hn::LoadU(d, from + kFloats);
    if (added) {
      low = hn::Add(low, LoadFloats(d, added + place));
      high = hn::Add(high, LoadFloats(d, added + place + 16));
    }
    StorePair(low, high, c + place);
    ++rounded;
  }
  HWY_INLINE void AskRow() {
    const size_t place = here + asked * c_stride;
    asm volatile("prefetchw (%0)" ::"r"(c + place));
    if (added) __builtin_prefetch(added + place);
    ++asked;
  }
  HWY_INLINE void Step() {
    for (size_t i = 0; i < rows_each; ++i) {
      if (rounded < kUnit) RoundRow();
      if (asked < kUnit) AskRow();
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

class Units {
 public:
  Units(const FoldedTerm& folded, size_t rows, const Bf16* added, Bf16* c, size_t c_stride, float* scratch)
      : sums_{scratch, scratch + kSums},
        low_(reinterpret_cast<const Bf16*>(scratch + 2 * kSums)),
        low_stride_(2 * folded.ranks()),
        meanwhile_{added, c, c_stride} {
    LayLow(folded, rows, scratch + 2 * kSums);
  }

  static size_t ScratchFloats(size_t rows, size_t ranks) { return 2 * kSums + rows * ranks; }
  static size_t FoldedFloats(size_t ranks) { return ranks / 16 * 4 * kFloats; }

  // 32 columns of the matrices from `first` on, [high, low][block of 16 ranks][16 columns].
  static void PackFolded(const FoldedTerm& folded, size_t first, float* to) {
    float* const low_parts = to + FoldedFloats(folded.ranks()) / 2;
    for (size_t at = 0; const LowRankMatrix& m : folded.matrices) {
      for (size_t k = 0; k < m.depth; k += 16) {
        for (size_t c = first; c < first + kUnit; c += 16, at += kFloats) SplitBlock(m, k, c, to + at, low_parts + at);
      }
    }
  }

  // Has the next 32 rows of A asked for in so many steps.
  HWY_INLINE void Ahead(const Bf16* a, size_t a_stride, size_t depth, size_t steps) {
    meanwhile_.a = Wanted(a, a_stride, kUnit, depth);
    meanwhile_.a.Share(steps);
  }

  HWY_INLINE void Multiply(const UnitWork<Bf16>& work) {
    StartSums(work.first ? nullptr : work.kept);
    if (work.last) {
      meanwhile_.here = work.offset;
      meanwhile_.asked = 0;
    }
    const size_t blocks = work.last ? low_stride_ / 32 : 0;
    meanwhile_.rows_each = (kUnit + work.steps + 2 * blocks - 1) / (work.steps + 2 * blocks);
    const float* b = Accumulate(work.a, work.a_stride, work.steps, work.b, meanwhile_);
    if (!work.last) return StoreSums(work.kept);
    if (blocks > 0) {
      const Bf16* const low = low_ + work.row * low_stride_;
      b = Accumulate(low, low_stride_, blocks, b, meanwhile_);
      Accumulate(low, low_stride_, blocks, b, meanwhile_);
    }
    meanwhile_.RoundAll();
    float* const to = sums_[turn_++ % 2];
    StoreSums(to);
    meanwhile_.sums = to;
    meanwhile_.before = work.offset;
    meanwhile_.rounded = 0;
  }

  HWY_INLINE void End() { meanwhile_.RoundAll(); }

 private:
  // `low` as A tiles: the high parts of a block of 16, then the low ones.
  static void LayLow(const FoldedTerm& folded, size_t rows, float* laid) {
    auto* to = reinterpret_cast<uint16_t*>(laid);
    const D d;
    const hn::Rebind<uint16_t, W> half;
    const size_t ranks = folded.ranks();
    for (size_t r = 0; r < rows; ++r) {
      for (size_t k = 0; k < ranks; k += 16, to += 32) {
        const Split s = SplitFloats(hn::LoadU(d, folded.low + r * folded.low_stride + k));
        hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.high)), half, to);
        hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(s.low)), half, to + 16);
      }
    }
  }

  const Scope scope_;
  float* const sums_[2];  // of a unit, and of the one before
  const Bf16* const low_;
  const size_t low_stride_;
  Meanwhile meanwhile_;
  size_t turn_ = 0;
};

}  // namespace on_tiles
