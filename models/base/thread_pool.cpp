#include "models/base/thread_pool.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <ctime>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lora {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr microseconds kSpin{60};       // before who waits sleeps: longer than the steps between two loops take
constexpr microseconds kLostCore{150};  // without a core, from which a worker counts as one that lost it
constexpr milliseconds kMostCredit{10}, kFirstPause{40}, kLongestPause{640};

// The word next_: pieces and the next piece have 20 bits each, the round the rest.
constexpr int kBits = 20;
constexpr uint64_t kMask = (uint64_t{1} << kBits) - 1;
constexpr uint64_t round_of(uint64_t word) { return word >> (2 * kBits); }
constexpr uint64_t pieces_of(uint64_t word) { return word >> kBits & kMask; }
constexpr uint64_t piece_of(uint64_t word) { return word & kMask; }

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// Whether `done` came true while spinning.
template <class Done>
bool spins_until(Done done) {
  for (int i = 0; i < 64; ++i) {
    if (done()) return true;
    relax();
  }
  const auto end = Clock::now() + kSpin;
  while (Clock::now() < end) {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      relax();
    }
  }
  return false;
}

// What this thread has had of a core.
nanoseconds core_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

thread_local bool in_loop = false;

// LibTorch's operations inside a loop run on the loop's threads alone: each would start threads of its own.
class LibTorchAlone {
 public:
  LibTorchAlone() : before_(at::get_num_threads()) {
    if (before_ > 1) set(1);
  }
  ~LibTorchAlone() {
    if (before_ > 1) set(before_);
  }
  LibTorchAlone(const LibTorchAlone&) = delete;
  LibTorchAlone& operator=(const LibTorchAlone&) = delete;

 private:
  // For the calling thread, where LibTorch runs on OpenMP. (at::set_num_threads is for all.)
  static void set(int threads) {
    static const auto f = reinterpret_cast<void (*)(int)>(::dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (f) f(threads);
  }
  int before_;
};

}  // namespace

ThreadPool& ThreadPool::shared() {
  static auto* pool = new ThreadPool();
  // The child of a fork has no thread but the one that forked.
  static const int once = ::pthread_atfork(nullptr, nullptr, [] { pool = new ThreadPool(); });
  (void)once;
  return *pool;
}

void ThreadPool::start_until(int64_t workers) {
  while (static_cast<int64_t>(workers_.size()) < workers) {
    workers_.push_back(std::make_unique<Worker>());
    Worker* const worker = workers_.back().get();
    const auto thread = static_cast<int64_t>(workers_.size());
    try {
      std::thread([this, thread, worker] { work_as(thread, *worker); }).detach();
    } catch (...) {
      workers_.pop_back();
      throw;
    }
  }
}

void ThreadPool::work_as(int64_t thread, Worker& worker) {
  in_loop = true;
  const LibTorchAlone alone;
  for (uint32_t round = 0;;) {
    if (!spins_until([&] { return worker.round.load(std::memory_order_acquire) != round; })) worker.round.wait(round);
    round = worker.round.load(std::memory_order_acquire);
    take_pieces(thread, round);
  }
}

// Works until no piece of that round is left. A worker tells how long it had a core for that, and whether it lost it.
void ThreadPool::take_pieces(int64_t thread, uint64_t round) {
  const auto begin = Clock::now();
  const nanoseconds core_before = thread > 0 ? core_time() : nanoseconds(0);
  nanoseconds told{0};
  const auto tell = [&] {
    nanoseconds worked = Clock::now() - begin;
    if (worked > kLostCore) {
      const nanoseconds had = core_time() - core_before;
      if (worked - had > kLostCore) lost_core_.store(true, std::memory_order_relaxed);
      worked = had;
    }
    worked_.fetch_add((worked - told).count(), std::memory_order_relaxed);
    told = worked;
  };
  uint64_t word = next_.load(std::memory_order_acquire);
  while (round_of(word) == round && piece_of(word) < pieces_of(word)) {
    if (!next_.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel)) continue;
    // The round lasts until this piece is done, so what run() wrote for it is still there.
    try {
      if (!failed_.load(std::memory_order_relaxed)) (*work_)(static_cast<int64_t>(piece_of(word)), thread);
    } catch (...) {
      const std::lock_guard lock(problem_mutex_);
      if (!problem_) problem_ = std::current_exception();
      failed_ = true;
    }
    if (thread > 0) tell();
    if (left_.fetch_sub(1) == 1) left_.notify_one();
    word = next_.load(std::memory_order_acquire);
  }
}

void ThreadPool::wait_for_pieces() {
  const auto done = [&] { return left_.load(std::memory_order_acquire) == 0; };
  const auto begin = Clock::now();
  if (!spins_until(done)) {
    for (int32_t left = left_.load(); left != 0; left = left_.load()) left_.wait(left);
  }
  note_wait(Clock::now() - begin);
}

// A worker that lost its core keeps all waiting. Where they wait longer than workers work, it is better to work without
// one, for longer each time that it happens again.
void ThreadPool::note_wait(nanoseconds wait) {
  credit_ = std::min<nanoseconds>(credit_ + nanoseconds(worked_.exchange(0, std::memory_order_relaxed)), kMostCredit);
  if (lost_core_.exchange(false, std::memory_order_relaxed)) credit_ -= wait;
  if (credit_ >= nanoseconds(0)) return;
  credit_ = nanoseconds(0);
  missing_ = std::min(missing_ + 1, static_cast<int64_t>(workers_.size()));
  pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
  try_again_ = Clock::now() + pause_;
}

int64_t ThreadPool::workers_now(int64_t threads) {
  if (missing_ > 0 && Clock::now() > try_again_) {
    --missing_;
    try_again_ = Clock::now() + pause_;  // the next one, if this one does well
  }
  if (missing_ == 0 && pause_ > milliseconds(0) && Clock::now() > try_again_) pause_ = milliseconds(0);
  return std::max<int64_t>(threads - 1 - missing_, 0);
}

void ThreadPool::run(int64_t pieces, int64_t threads, const Work& work) {
  const auto alone = [&] {
    for (int64_t piece = 0; piece < pieces; ++piece) work(piece, 0);
  };
  if (in_loop || pieces <= 1) return alone();
  const std::unique_lock lock(busy_, std::try_to_lock);
  if (!lock) return alone();
  start_until(threads - 1);
  const int64_t helpers = std::min(workers_now(threads), pieces - 1);

  // More pieces than the word has room for are worked on several at a time.
  const int64_t each = (pieces + static_cast<int64_t>(kMask) - 1) / static_cast<int64_t>(kMask);
  Work several;
  if (each > 1) {
    several = [&](int64_t first, int64_t thread) {
      for (int64_t i = first * each; i < std::min(pieces, (first + 1) * each); ++i) work(i, thread);
    };
  }
  const auto taken = static_cast<uint64_t>((pieces + each - 1) / each);
  work_ = several ? &several : &work;
  failed_.store(false, std::memory_order_relaxed);
  left_.store(static_cast<int32_t>(taken));
  const uint64_t round = round_of(next_.load(std::memory_order_relaxed) + (uint64_t{1} << (2 * kBits)));
  next_.store(round << (2 * kBits) | taken << kBits, std::memory_order_release);
  for (int64_t i = 0; i < helpers; ++i) {
    std::atomic<uint32_t>& called = workers_[static_cast<size_t>(i)]->round;
    called.store(static_cast<uint32_t>(round));
    called.notify_one();
  }

  in_loop = true;
  {
    const LibTorchAlone serial;
    take_pieces(0, round);
  }
  in_loop = false;
  wait_for_pieces();
  if (problem_) std::rethrow_exception(std::exchange(problem_, nullptr));
}

}  // namespace lora
