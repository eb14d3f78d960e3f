#pragma once
// Work shared out over LibTorch's own threads.

#include <cstdint>
#include <functional>

namespace lora {

// Calls f(begin, end) for ranges that make up [0, n), at least `grain` long but for the last, at once on as many
// threads as at::get_num_threads() says. Which ranges there are depends on n, grain and that number alone. An exception
// of f's reaches the caller. (at::parallel_for is a template that starts threads only in code compiled for OpenMP, and
// a program with an OpenMP runtime beside the one that LibTorch ships would have two sets of threads on the same
// cores.)
void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& f);

// Calls work(piece, thread) for every piece; a thread takes the next piece when it is done with one. For pieces of
// unequal size, the largest first. thread < at::get_num_threads().
void share_out(int64_t pieces, const std::function<void(int64_t piece, int64_t thread)>& work);

}  // namespace lora
