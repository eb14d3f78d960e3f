// Parallel loops: every piece once, on the threads that there are, whatever else happens.

#include "models/base/threads.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>

#include "tests/catch.h"

using namespace lora;

namespace {

// LibTorch's number of threads while this lives.
class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

using Ranges = std::set<std::pair<int64_t, int64_t>>;

Ranges ranges_of(int64_t n, int64_t grain) {
  std::mutex mutex;
  Ranges ranges;
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    ranges.emplace(begin, end);
  });
  return ranges;
}

}  // namespace

TEST_CASE("ranges partition a loop, are as long as the grain, and are the same each time") {
  for (const int count : {1, 2, 3, 5}) {
    const Threads threads(count);
    for (const int64_t n : {0, 1, 2, 7, 64, 1000, 4097}) {
      for (const int64_t grain : {1, 3, 64, 5000}) {
        const Ranges ranges = ranges_of(n, grain);
        int64_t next = 0;
        for (const auto& [begin, end] : ranges) {
          CHECK(begin == next);
          CHECK((end - begin >= grain || end == n));
          next = end;
        }
        CHECK(next == n);
        CHECK(ranges == ranges_of(n, grain));
      }
    }
  }
}

TEST_CASE("every piece is worked on once, by a thread that has none at the time") {
  const Threads threads(3);
  for (const int64_t pieces : {1, 2, 3, 100, 5000}) {
    for (int round = 0; round < 50; ++round) {
      std::vector<std::atomic<int>> done(static_cast<size_t>(pieces));
      std::array<std::atomic<int>, 3> inside{};
      std::atomic<bool> alone = true;
      share_out(pieces, [&](int64_t piece, int64_t thread) {
        if (inside[static_cast<size_t>(thread)]++ != 0) alone = false;
        ++done[static_cast<size_t>(piece)];
        --inside[static_cast<size_t>(thread)];
      });
      CHECK(alone);
      CHECK(std::ranges::all_of(done, [](const auto& count) { return count == 1; }));
    }
  }
}

TEST_CASE("more pieces than a round has room for are all worked on") {
  const Threads threads(2);
  constexpr int64_t kPieces = (int64_t{1} << 21) + 3;
  std::atomic<int64_t> sum = 0;
  share_out(kPieces, [&](int64_t piece, int64_t) { sum.fetch_add(piece, std::memory_order_relaxed); });
  CHECK(sum == kPieces * (kPieces - 1) / 2);
}

TEST_CASE("the caller receives what a piece throws, and the next loop works") {
  const Threads threads(2);
  for (int i = 0; i < 100; ++i) {
    CHECK_THROWS_AS(share_out(64,
                              [](int64_t piece, int64_t) {
                                if (piece == 40) throw std::runtime_error("40");
                              }),
                    std::runtime_error);
    std::atomic<int> count = 0;
    share_out(64, [&](int64_t, int64_t) { ++count; });
    CHECK(count == 64);
  }
}

TEST_CASE("a loop inside of a loop, and loops of several threads, do all of their work") {
  const Threads threads(2);
  std::atomic<int64_t> sum = 0;
  const auto nested = [&] {
    share_out(
        8, [&](int64_t, int64_t) { parallel_for(1000, 1, [&](int64_t begin, int64_t end) { sum += end - begin; }); });
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int round = 0; round < 20; ++round) nested();
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(sum == 4 * 20 * 8 * 1000);
}

TEST_CASE("inside of a loop LibTorch's operations start no threads") {
  const Threads threads(2);
  std::atomic<int> most = 0;
  share_out(16, [&](int64_t, int64_t) { most = std::max<int>(most, at::get_num_threads()); });
  CHECK(most == 1);
  CHECK(at::get_num_threads() == 2);
}
