#include "models/base/threads.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>

namespace lora {

void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& f) {
  if (n <= 0) return;
  if (n <= grain || at::get_num_threads() == 1) return f(0, n);
  // The elementwise iterator is compiled into LibTorch and runs on its threads. The tensor has one byte per index; it
  // is never written.
  at::Tensor indices = at::empty({n}, at::kByte);
  const char* const first = static_cast<const char*>(indices.const_data_ptr());
  at::TensorIterator iterator = at::TensorIterator::borrowing_nullary_op(indices);
  iterator.for_each(
      [&](char** data, const int64_t* /*strides*/, int64_t count) {
        const int64_t begin = data[0] - first;
        f(begin, begin + count);
      },
      grain);
}

void share_out(int64_t pieces, const std::function<void(int64_t piece, int64_t thread)>& work) {
  std::atomic<int64_t> next{0};
  parallel_for(std::min<int64_t>(pieces, at::get_num_threads()), 1, [&](int64_t first, int64_t last) {
    for (int64_t thread = first; thread < last; ++thread) {
      for (int64_t piece = next++; piece < pieces; piece = next++) work(piece, thread);
    }
  });
}

}  // namespace lora
