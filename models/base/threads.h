#pragma once
// Parallel loops on LibTorch's own threads.

#include <cstdint>
#include <functional>

namespace lora {

// Calls f(begin, end) for ranges that partition [0, n), in parallel on at::get_num_threads() threads. Each range except
// the last has at least `grain` elements. The ranges depend only on n, grain and the number of threads. The caller
// receives an exception that f throws.
// Why not at::parallel_for: that template starts threads only in code compiled for OpenMP. A program that loads a
// second OpenMP runtime next to LibTorch's would have two sets of threads on the same cores.
void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& f);

// Calls work(piece, thread) for every piece. A thread that finishes a piece takes the next one, so put the largest
// pieces first. 0 <= thread < at::get_num_threads().
void share_out(int64_t pieces, const std::function<void(int64_t piece, int64_t thread)>& work);

}  // namespace lora
