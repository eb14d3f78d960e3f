// Included once for each kind of word (see words-inl.h): C = A · B or C += A · B in register tiles.

struct Products {
  // R rows, V vectors of columns, `depth` words. A's word (row, k) is at a[row·a_row + k·a_k]; C is float32 or
  // bfloat16.
  template <size_t R, size_t V, class T>
  static HWY_INLINE void Tile(const float* a, size_t a_row, size_t a_k, const float* b, size_t b_row, T* c,
                              size_t c_row, size_t depth, bool add) {
    const Lanes d;
    const size_t lanes = hn::Lanes(d);
    Wide sums[R][V];
    for (size_t r = 0; r < R; ++r) {
      for (size_t v = 0; v < V; ++v) sums[r][v] = add ? LoadFloats(d, c + r * c_row + v * lanes) : hn::Zero(d);
    }
    for (size_t k = 0; k < depth; ++k) {
      Wide columns[V];
      for (size_t v = 0; v < V; ++v) columns[v] = hn::LoadU(d, b + k * b_row + v * lanes);
      for (size_t r = 0; r < R; ++r) {
        const Wide word = hn::Set(d, a[r * a_row + k * a_k]);
        for (size_t v = 0; v < V; ++v) sums[r][v] = Words::Dot(word, columns[v], sums[r][v]);
      }
    }
    for (size_t r = 0; r < R; ++r) {
      for (size_t v = 0; v < V; ++v) StoreFloats(d, sums[r][v], c + r * c_row + v * lanes);
    }
  }

  template <size_t R, size_t V, class T>
  static HWY_INLINE void Rows(size_t rows, const float* a, size_t a_row, size_t a_k, const float* b, size_t b_row, T* c,
                              size_t c_row, size_t depth, bool add) {
    size_t r = 0;
    for (; r + R <= rows; r += R) Tile<R, V>(a + r * a_row, a_row, a_k, b, b_row, c + r * c_row, c_row, depth, add);
    for (; r < rows; ++r) Tile<1, V>(a + r * a_row, a_row, a_k, b, b_row, c + r * c_row, c_row, depth, add);
  }

  // C (rows, columns); `columns` is whole vectors.
  template <class T>
  static void Product(size_t rows, size_t columns, size_t depth, const float* a, size_t a_row, size_t a_k,
                      const float* b, size_t b_row, T* c, size_t c_row, bool add) {
    const size_t lanes = hn::Lanes(Lanes());
    constexpr size_t kWide = HWY_MAX_BYTES >= 64 ? 4 : 2;  // as many registers as there are
    size_t n = 0;
    for (; n + kWide * lanes <= columns; n += kWide * lanes) {
      Rows<4, kWide>(rows, a, a_row, a_k, b + n, b_row, c + n, c_row, depth, add);
    }
    for (; n < columns; n += lanes) Rows<8, 1>(rows, a, a_row, a_k, b + n, b_row, c + n, c_row, depth, add);
  }
};
