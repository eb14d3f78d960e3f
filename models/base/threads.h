#pragma once
// Parallel loops on a pool of threads of its own, which shares a machine with others.
//
// As many threads work as LibTorch is set to (at::get_num_threads()), the caller among them. Pieces are handed out one
// at a time, and the caller waits for pieces that were taken, never for a thread that has yet to wake. Who waits spins
// for a short while, then sleeps. Where another process takes the core of a thread in the middle of its piece, all others
// have to wait for it; so the pool works with one thread less for a while, and tries again later. What is computed does
// not depend on that.
//
// Loops inside of loops are not divided. A loop that another thread starts while the pool is busy runs on that thread.

#include <cstdint>
#include <functional>

namespace lora {

// Calls f(begin, end) for ranges that partition [0, n), in parallel. Each range except the last has at least `grain`
// elements. The ranges depend only on n, grain and the number of threads. The caller receives an exception that f
// throws; ranges that were not begun are then left out.
void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& f);

// Calls work(piece, thread) for every piece. A thread that finishes a piece takes the next one, so put the largest
// pieces first. 0 <= thread < at::get_num_threads(), and no two pieces of one thread run at once.
void share_out(int64_t pieces, const std::function<void(int64_t piece, int64_t thread)>& work);

}  // namespace lora
