// The body of attention, included once for each kind of word (see attention.cpp): `Words` says what a word is.

struct Tiles {
  template <class T>
  static void Pack(const AttentionHead<T>& head, const AttentionPanels& panels, bool backward) {
    const size_t row = attention_padded(head.tokens), dim_row = attention_padded(head.dim);
    Words::Transposed(head.k, head.stride, head.tokens, head.dim, panels.k_transposed, row);
    if (backward) {
      Words::Transposed(head.v, head.stride, head.tokens, head.dim, panels.v_transposed, row);
      Words::Down(head.k, head.stride, head.tokens, head.dim, panels.k_rows, dim_row);
    } else {
      Words::Down(head.v, head.stride, head.tokens, head.dim, panels.v_rows, dim_row);
    }
  }

  template <class T>
  static void Forward(const AttentionHead<T>& head, const AttentionPanels& panels) {
    const Lanes d;
    const ScoreRow<T> score_row{head};
    const float weight = score_row.Weight();
    const size_t lanes = hn::Lanes(d);
    const size_t row = attention_padded(head.tokens), dim_row = attention_padded(head.dim);
    const size_t depth = head.dim / Words::kStep, word_row = dim_row / Words::kStep;
    float* const scores = head.scratch;
    float* const words = scores + kQueryBlock * row;
    float* const queries = words + kQueryBlock * row;
    float* const sums = queries + kQueryBlock * dim_row;
    for (size_t first = 0; first < head.tokens; first += kQueryBlock) {
      const size_t rows = HWY_MIN(kQueryBlock, head.tokens - first);
      const size_t keys = first + rows, width = attention_padded(keys);
      Words::Across(head.q + first * head.stride, head.stride, rows, head.dim, queries, word_row);
      Products::Product(rows, width, depth, queries, word_row, 1, panels.k_transposed, row, scores, row, false);
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
      const float* p = Words::RowsOf(scores, rows, width, row, words);
      Products::Product(rows, dim_row, (keys + Words::kStep - 1) / Words::kStep, p, row / Words::kStep, 1,
                        panels.v_rows, dim_row, sums, dim_row, false);
      for (size_t r = 0; r < rows; ++r) {
        T* const out = head.out + (first + r) * head.out_stride;
        ForEach(head.dim, [&](auto tag, size_t i) HWY_ATTR {
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
    const size_t row = attention_padded(head.tokens), dim_row = attention_padded(head.dim);
    const size_t depth = head.dim / Words::kStep, word_row = dim_row / Words::kStep;
    float* const scores = head.scratch;  // then the probabilities
    float* const slopes = scores + kQueryBlock * row;
    float* const words = slopes + kQueryBlock * row;
    float* const queries = words + kQueryBlock * row;
    float* const douts = queries + kQueryBlock * dim_row;
    float* const down = douts + kQueryBlock * dim_row;
    float* const sums = down + kQueryBlock * dim_row;
    if (!head.adds) {
      std::fill_n(head.dk, head.tokens * dim_row, 0.0f);
      std::fill_n(head.dv, head.tokens * dim_row, 0.0f);
    }
    for (size_t first = 0; first < head.tokens; first += kQueryBlock) {
      const size_t rows = HWY_MIN(kQueryBlock, head.tokens - first);
      const size_t keys = first + rows, width = attention_padded(keys);
      const size_t row_words = (rows + Words::kStep - 1) / Words::kStep;
      const T* const q = head.q + first * head.stride;
      const T* const out = head.out + first * head.out_stride;
      const T* const dout = head.dout + first * head.out_stride;
      Words::Across(q, head.stride, rows, head.dim, queries, word_row);
      Words::Across(dout, head.out_stride, rows, head.dim, douts, word_row);
      Products::Product(rows, width, depth, queries, word_row, 1, panels.k_transposed, row, scores, row, false);
      Products::Product(rows, width, depth, douts, word_row, 1, panels.v_transposed, row, slopes, row, false);
      for (size_t r = 0; r < rows; ++r) {
        float* const s = scores + r * row;
        float* const g = slopes + r * row;
        const size_t seen = first + r + 1, whole = attention_padded(seen);
        const float along = SumOf(head.dim, [&](auto tag, size_t i) HWY_ATTR {
          return hn::Mul(LoadFloats(tag, out + r * head.out_stride + i),
                         LoadFloats(tag, dout + r * head.out_stride + i));
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
      const float* a = Words::ColumnsOf(scores, rows, width, row, words);
      Words::Down(dout, head.out_stride, rows, head.dim, down, dim_row);
      Products::Product(keys, dim_row, row_words, a, 1, row, down, dim_row, head.dv, dim_row, true);
      a = Words::ColumnsOf(slopes, rows, width, row, words);
      Words::Down(q, head.stride, rows, head.dim, down, dim_row);
      Products::Product(keys, dim_row, row_words, a, 1, row, down, dim_row, head.dk, dim_row, true);
      a = Words::RowsOf(slopes, rows, width, row, words);
      Products::Product(rows, dim_row, (keys + Words::kStep - 1) / Words::kStep, a, row / Words::kStep, 1,
                        panels.k_rows, dim_row, sums, dim_row, false);
      for (size_t r = 0; r < rows; ++r) {
        T* const dq = head.dq + (first + r) * head.stride;
        ForEach(head.dim, [&](auto tag, size_t i)
                              HWY_ATTR { StoreFloats(tag, LoadFloats(tag, sums + r * dim_row + i), dq + i); });
      }
    }
  }
};
