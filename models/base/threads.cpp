#include "models/base/threads.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>

// ThreadSanitizer does not know the synchronisation of OpenMP, so it would report every loop on LibTorch's threads. In
// a build with it, loops run on threads that it sees.
#if defined(__SANITIZE_THREAD__)
#define LORA_OWN_THREADS
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LORA_OWN_THREADS
#endif
#endif

#ifdef LORA_OWN_THREADS
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "models/base/numbers.h"
#endif

namespace lora {

#ifdef LORA_OWN_THREADS

namespace {

// The ranges that LibTorch makes, a thread each.
void run_on_own_threads(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& f) {
  static thread_local bool inside = false;  // loops inside of loops are not divided
  if (inside) return f(0, n);
  const int64_t size = ceil_div(n, std::min<int64_t>(at::get_num_threads(), ceil_div(n, std::max<int64_t>(grain, 1))));
  std::exception_ptr problem;
  std::mutex mutex;
  std::vector<std::jthread> threads;
  for (int64_t begin = 0; begin < n; begin += size) {
    threads.emplace_back([&, begin] {
      inside = true;
      try {
        f(begin, std::min(n, begin + size));
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        problem = std::current_exception();
      }
    });
  }
  threads.clear();
  if (problem) std::rethrow_exception(problem);
}

}  // namespace

#endif

void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& f) {
  if (n <= 0) return;
  if (n <= grain || at::get_num_threads() == 1) return f(0, n);
#ifdef LORA_OWN_THREADS
  return run_on_own_threads(n, grain, f);
#endif
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
