#pragma once
// A matrix in memory, as kernels take it.

#include <cstddef>
#include <type_traits>

namespace lora::kernels {

// A view: the memory belongs to the caller. Element (r, c) is data[r · stride + c]; stride >= columns. A view without
// data stands for an optional matrix that is missing.
template <class T>
struct Matrix {
  T* data = nullptr;
  size_t rows = 0, columns = 0, stride = 0;

  T* row(size_t r) const { return data + r * stride; }
  Matrix row_range(size_t first, size_t count) const { return {row(first), count, columns, stride}; }
  Matrix column_range(size_t first, size_t count) const { return {data + first, rows, count, stride}; }

  operator Matrix<const T>() const  // NOLINT: a matrix that may be written may also be read
      requires(!std::is_const_v<T>) {
    return {data, rows, columns, stride};
  }
};

}  // namespace lora::kernels
