#include "models/base/threads.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "models/base/numbers.h"
#include "models/base/thread_pool.h"

namespace lora {

void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& f) {
  if (n <= 0) return;
  const int64_t threads = at::get_num_threads();
  if (n <= grain || threads == 1) return f(0, n);
  // Some more ranges than threads: who is quicker takes more of them.
  constexpr int64_t kRangesPerThread = 4;
  const int64_t ranges = std::min(kRangesPerThread * threads, n / std::max<int64_t>(grain, 1));
  const int64_t size = ceil_div(n, std::max<int64_t>(ranges, 1));
  ThreadPool::shared().run(ceil_div(n, size), threads,
                           [&](int64_t range, int64_t) { f(range * size, std::min(n, (range + 1) * size)); });
}

void share_out(int64_t pieces, const std::function<void(int64_t piece, int64_t thread)>& work) {
  const int64_t threads = at::get_num_threads();
  if (pieces <= 1 || threads == 1) {
    for (int64_t piece = 0; piece < pieces; ++piece) work(piece, 0);
    return;
  }
  ThreadPool::shared().run(pieces, threads, work);
}

}  // namespace lora
