// The body of low_rank.cpp, included once for each kind of word: `Words` says what a word is.

struct LowRank {
  static constexpr size_t kRows = 32;

  static void Panel(const float* m, size_t depth, size_t columns, size_t row, size_t column, float scale, float* panel,
                    size_t panel_row) {
    for (size_t k = 0; k < depth; k += Words::kStep) {
      const float* const low = m + k * row;
      const float* const high = k + 1 < depth ? low + row : nullptr;
      float* const to = panel + k / Words::kStep * panel_row;
      for (size_t c = 0; c < columns; ++c) {
        to[c] = Words::Word(scale * low[c * column], high ? scale * high[c * column] : 0.0f);
      }
      std::fill(to + columns, to + padded_rank(columns), 0.0f);
    }
  }

  static size_t PanelStep(size_t depth, size_t panel_row) { return depth / Words::kStep * panel_row; }

  template <class T>
  static void Project(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,
                      size_t y_stride, float* scratch) {
    const size_t words = (depth + Words::kStep - 1) / Words::kStep;
    for (size_t r = 0; r < rows; r += kRows) {
      const size_t n = HWY_MIN(kRows, rows - r);
      size_t row = words;
      const float* const a = Words::AsWords(x + r * x_stride, x_stride, n, depth, scratch, row);
      Products::Product(n, columns, words, a, row, 1, panel, columns, y + r * y_stride, y_stride, false);
    }
  }

  template <class T>
  static void Add(const T* x, size_t x_stride, size_t rows, size_t depth, const float* panel, size_t columns, T* y,
                  size_t y_stride, float* scratch) {
    const size_t words = depth / Words::kStep, panel_columns = padded_rank(columns);
    const size_t whole = columns / 16 * 16;
    for (size_t r = 0; r < rows; r += kRows) {
      const size_t n = HWY_MIN(kRows, rows - r);
      size_t row = words;
      const float* const a = Words::AsWords(x + r * x_stride, x_stride, n, depth, scratch, row);
      Products::Product(n, whole, words, a, row, 1, panel, panel_columns, y + r * y_stride, y_stride, true);
      if (whole == columns) continue;
      // The last columns, fewer than a vector: through a vector of their own.
      for (size_t i = 0; i < n; ++i) {
        HWY_ALIGN float last[16];
        Products::Product(1, 16, words, a + i * row, row, 1, panel + whole, panel_columns, last, 16, false);
        T* const to = y + (r + i) * y_stride + whole;
        const OneFloat one;
        for (size_t c = 0; c < columns - whole; ++c) {
          StoreFloats(one, hn::Add(LoadFloats(one, to + c), hn::Set(one, last[c])), to + c);
        }
      }
    }
  }

  // R rows of out over V vectors of columns.
  template <size_t R, size_t V, class T>
  static HWY_INLINE void GradientTile(const float* p, size_t p_row, const T* x, size_t x_stride, size_t rows,
                                      float scale, float* out, size_t out_stride) {
    const Lanes d;
    const size_t lanes = hn::Lanes(d);
    Wide sums[R][V];
    for (size_t r = 0; r < R; ++r) {
      for (size_t v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
    }
    for (size_t n = 0; n < rows; n += Words::kStep, x += Words::kStep * x_stride, p += p_row) {
      Wide columns[V];
      for (size_t v = 0; v < V; ++v) columns[v] = Words::Stacked(x + v * lanes, x_stride, n + 1 < rows);
      for (size_t r = 0; r < R; ++r) {
        const Wide word = hn::Set(d, p[r]);
        for (size_t v = 0; v < V; ++v) sums[r][v] = Words::Dot(word, columns[v], sums[r][v]);
      }
    }
    for (size_t r = 0; r < R; ++r) {
      for (size_t v = 0; v < V; ++v) {
        hn::StoreU(hn::Mul(sums[r][v], hn::Set(d, scale)), d, out + r * out_stride + v * lanes);
      }
    }
  }

  template <size_t V, class T>
  static HWY_INLINE void GradientRows(const float* p, size_t rank, const T* x, size_t x_stride, size_t rows,
                                      float scale, float* out, size_t out_stride) {
    size_t r = 0;
    for (; r + 8 <= rank; r += 8) {
      GradientTile<8, V>(p + r, rank, x, x_stride, rows, scale, out + r * out_stride, out_stride);
    }
    for (; r < rank; ++r) {
      GradientTile<1, V>(p + r, rank, x, x_stride, rows, scale, out + r * out_stride, out_stride);
    }
  }

  template <class T>
  static void Gradient(const T* p, size_t p_stride, size_t rank, const T* x, size_t x_stride, size_t rows,
                       size_t columns, float scale, float* out, size_t out_stride, float* scratch) {
    Words::Down(p, p_stride, rows, rank, scratch, rank);
    const size_t lanes = hn::Lanes(Lanes());
    size_t c = 0;
    for (; c + 2 * lanes <= columns; c += 2 * lanes) {
      GradientRows<2>(scratch, rank, x + c, x_stride, rows, scale, out + c, out_stride);
    }
    for (; c + lanes <= columns; c += lanes) {
      GradientRows<1>(scratch, rank, x + c, x_stride, rows, scale, out + c, out_stride);
    }
    const OneFloat one;
    for (; c < columns; ++c) {
      for (size_t r = 0; r < rank; ++r) {
        float sum = 0;
        for (size_t n = 0; n < rows; ++n) {
          sum +=
              hn::GetLane(LoadFloats(one, p + n * p_stride + r)) * hn::GetLane(LoadFloats(one, x + n * x_stride + c));
        }
        out[r * out_stride + c] = scale * sum;
      }
    }
  }
};
