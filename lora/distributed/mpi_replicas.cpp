// join_over_mpi(): the only source that includes mpi.h.
//
// All that travels is point to point (MPI 3.1), so that a process that does not answer is known by its rank. A wait
// tests its requests in turn and sleeps between, which leaves the cores to those that still compute, and has an end.

#include "lora/distributed/joined_replicas.h"
#include "models/base/error.h"

#ifdef LORA_MPI

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <ATen/ATen.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "models/base/numbers.h"

namespace lora {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string own_host() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

// Messages that are under way to and from other processes.
class Traffic {
 public:
  explicit Traffic(MPI_Comm processes) : processes_(processes) {}

  void send(int64_t rank, const void* data, size_t bytes, int tag) {
    in_pieces(bytes, [&](size_t at, int length) {
      MPI_Request request{};
      // The buffer of a send is const only since MPI 3.
      const int result = MPI_Isend(static_cast<const char*>(data) + at, length, MPI_BYTE, static_cast<int>(rank), tag,
                                   processes_, &request);
      note(result, request, rank, /*receives=*/false);
    });
  }
  void receive(int64_t rank, void* data, size_t bytes, int tag) {
    in_pieces(bytes, [&](size_t at, int length) {
      MPI_Request request{};
      const int result =
          MPI_Irecv(static_cast<char*>(data) + at, length, MPI_BYTE, static_cast<int>(rank), tag, processes_, &request);
      note(result, request, rank, /*receives=*/true);
    });
  }

  // Whether all of it has arrived; false: nothing has moved for `timeout` seconds. result() tells of an error of MPI,
  // after which nothing more is waited for.
  bool wait(double timeout) {
    double idle = 0;  // seconds
    Clock::time_point last = Clock::now();
    std::vector<int> done(requests_.size());
    size_t left = requests_.size();
    while (left > 0 && result_ == MPI_SUCCESS) {
      int count = 0;
      result_ =
          MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, done.data(), MPI_STATUSES_IGNORE);
      if (count > 0) {
        left -= static_cast<size_t>(count);
        idle = 0;
        last = Clock::now();
        continue;
      }
      // A process that was itself stopped for a while must not blame the others: of a turn no more than this counts.
      constexpr double kLongestTurn = 0.5;
      idle += std::min(kLongestTurn, seconds_since(last));
      last = Clock::now();
      if (idle > timeout) return false;
      // What is due at once comes within microseconds; a peer that still computes takes seconds.
      if (idle < 2e-4) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(idle < 0.1 ? 50 : 1000));
      }
    }
    return true;
  }

  int result() const { return result_; }

  // Whose messages have not come; where all have, who has not taken one.
  std::vector<int64_t> missing() const {
    std::set<int64_t> senders, receivers;
    for (size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i] != MPI_REQUEST_NULL) (peers_[i].receives ? senders : receivers).insert(peers_[i].rank);
    }
    const auto& of = senders.empty() ? receivers : senders;
    return {of.begin(), of.end()};
  }

 private:
  struct Peer {
    int64_t rank;
    bool receives;
  };

  template <typename Post>
  static void in_pieces(size_t bytes, const Post& post) {
    constexpr size_t kPiece = 64 << 20;  // MPI counts in int
    for (size_t at = 0; at < bytes; at += kPiece) post(at, static_cast<int>(std::min(kPiece, bytes - at)));
  }
  void note(int result, MPI_Request request, int64_t rank, bool receives) {
    if (result_ == MPI_SUCCESS) result_ = result;
    requests_.push_back(result == MPI_SUCCESS ? request : MPI_REQUEST_NULL);
    peers_.push_back({rank, receives});
  }

  MPI_Comm processes_;
  std::vector<MPI_Request> requests_;
  std::vector<Peer> peers_;
  int result_ = MPI_SUCCESS;
};

class MpiReplicas final : public JoinedReplicas {
 public:
  // Of these processes. `timeout`: see set_timeout().
  MpiReplicas(MPI_Comm processes, double timeout) : processes_(processes), timeout_(timeout) {
    int rank = 0, count = 0;
    MPI_Comm_set_errhandler(processes_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(processes_, &rank);
    MPI_Comm_size(processes_, &count);
    rank_ = rank;
    count_ = count;
    hosts_.resize(as_size(count_), "a host not known yet");
    hosts_ = gathered(own_host());
  }
  ~MpiReplicas() override {
    if (processes_ == MPI_COMM_WORLD) MPI_Finalize();
  }

  int64_t rank() const override { return rank_; }
  int64_t count() const override { return count_; }

  std::vector<std::string> gather(const std::string& own) override {
    std::vector<std::string> all = gathered(kWell + own);
    if (std::ranges::any_of(all, [](const std::string& one) { return one.front() == kFailed; })) {
      throw TogetherFailed{verdict_of(all)};
    }
    for (std::string& one : all) one.erase(0, 1);
    return all;
  }

  Failure fail(const Failure& own) override {
    return verdict_of(gathered(kFailed + std::to_string(own.code) + " " + own.message));
  }

  std::vector<at::Tensor> exchange(const std::vector<at::Tensor>& to, const std::vector<int64_t>& sizes) override {
    std::vector<at::Tensor> from, sent;
    Traffic traffic(processes_);
    for (int64_t rank = 0; rank < count_; ++rank) {
      const size_t i = as_size(rank);
      if (rank == rank_) {
        from.push_back(to[i]);
        continue;
      }
      from.push_back(at::empty({sizes[i]}, at::kFloat));
      sent.push_back(to[i].contiguous());
      traffic.receive(rank, from[i].mutable_data_ptr(), from[i].nbytes(), kExchangeTag);
      traffic.send(rank, sent.back().const_data_ptr(), sent.back().nbytes(), kExchangeTag);
    }
    finish(traffic);
    return from;
  }

  void set_timeout(double seconds) override { timeout_ = seconds; }

  std::shared_ptr<JoinedReplicas> split(int64_t group) override {
    gather("");  // from here the others are not far; MPI's own wait has no end
    MPI_Comm part = MPI_COMM_NULL;
    MPI_Comm_split(processes_, static_cast<int>(group), static_cast<int>(rank_), &part);
    return std::make_shared<MpiReplicas>(part, timeout_);
  }

 private:
  // Kinds, so that the tensors of others are not taken for the failure of one.
  static constexpr int kGatherTag = 1, kExchangeTag = 2, kWaitingTag = 3;
  static constexpr char kWell = 'w', kFailed = 'f';  // the first byte of what gather() and fail() send

  // The start of what a process sends; the rest follows where there is more.
  struct Opening {
    uint64_t size = 0;
    char bytes[4088] = {};
  };

  std::vector<std::string> gathered(const std::string& own) {
    Opening opening{own.size()};
    std::memcpy(opening.bytes, own.data(), std::min(own.size(), sizeof opening.bytes));
    std::vector<Opening> openings(as_size(count_));
    openings[as_size(rank_)] = opening;
    Traffic first(processes_);
    for_each_other([&](int64_t rank) {
      first.receive(rank, &openings[as_size(rank)], sizeof(Opening), kGatherTag);
      first.send(rank, &opening, sizeof opening, kGatherTag);
    });
    finish(first);
    std::vector<std::string> all;
    for (const Opening& one : openings) all.emplace_back(one.bytes, std::min<size_t>(one.size, sizeof one.bytes));
    all[as_size(rank_)] = own;
    constexpr size_t kFirst = sizeof opening.bytes;
    Traffic rest(processes_);
    for_each_other([&](int64_t rank) {
      std::string& bytes = all[as_size(rank)];
      bytes.resize(openings[as_size(rank)].size);
      if (bytes.size() > kFirst) rest.receive(rank, bytes.data() + kFirst, bytes.size() - kFirst, kGatherTag);
      if (own.size() > kFirst) rest.send(rank, own.data() + kFirst, own.size() - kFirst, kGatherTag);
    });
    finish(rest);
    return all;
  }

  template <typename Body>
  void for_each_other(const Body& body) const {
    for (int64_t rank = 0; rank < count_; ++rank) {
      if (rank != rank_) body(rank);
    }
  }

  Failure verdict_of(const std::vector<std::string>& all) const {
    std::vector<Failure> failures;
    for (const std::string& one : all) {
      Failure& failure = failures.emplace_back();
      if (one.front() != kFailed) continue;
      failure.code = std::stoi(one.substr(1));
      failure.message = one.substr(one.find(' ') + 1);
    }
    return verdict(failures, hosts_);
  }

  void finish(Traffic& traffic) const {
    const bool arrived = traffic.wait(timeout_);
    if (traffic.result() != MPI_SUCCESS) {
      char text[MPI_MAX_ERROR_STRING] = {};
      int length = 0;
      MPI_Error_string(traffic.result(), text, &length);
      give_up(place(rank_) + ": MPI found an error: " + text);
    }
    if (arrived) return;
    const std::vector<int64_t> missing = without_waiting(traffic.missing());
    // One message is enough: of the lowest rank that waits. The others give it time to end them all.
    int64_t speaker = 0;
    while (std::ranges::count(missing, speaker) > 0) ++speaker;
    if (speaker != rank_) std::this_thread::sleep_for(std::chrono::seconds(5));
    std::string who;
    for (const int64_t rank : missing) who += (who.empty() ? "" : "; ") + place(rank);
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%g s", timeout_);
    give_up(who + ": no answer for " + seconds + " (distributed.timeout); all processes end. --resume continues from " +
            "the newest checkpoint");
  }

  // A process that itself waits in vain for another one is not the cause: all that give up tell each other so.
  std::vector<int64_t> without_waiting(const std::vector<int64_t>& missing) const {
    static const char note = 0;  // outlives the sends, which nobody waits for
    for_each_other([&](int64_t rank) {
      MPI_Request request{};
      MPI_Isend(&note, 1, MPI_BYTE, static_cast<int>(rank), kWaitingTag, processes_, &request);
    });
    std::vector<int64_t> silent = missing;
    const Clock::time_point start = Clock::now();
    while (seconds_since(start) < 2) {
      std::erase_if(silent, [&](int64_t rank) {
        int waits = 0;
        MPI_Iprobe(static_cast<int>(rank), kWaitingTag, processes_, &waits, MPI_STATUS_IGNORE);
        return waits != 0;
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return silent.empty() ? missing : silent;
  }

  std::string place(int64_t rank) const { return hosts_[as_size(rank)] + ", rank " + std::to_string(rank); }

  // Ends all processes, also those that hang: no destructor can be relied on, as some of them wait for what never comes.
  [[noreturn]] static void give_up(const std::string& why) {
    std::fprintf(stderr, "%s\n", DistributedError(why).what());
    std::fflush(stderr);
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(ExitCode::kDistributed));
    ::_exit(static_cast<int>(ExitCode::kDistributed));
  }

  MPI_Comm processes_;
  int64_t rank_ = 0, count_ = 1;
  double timeout_;
  std::vector<std::string> hosts_;
};

}  // namespace

std::shared_ptr<JoinedReplicas> join_over_mpi() {
  int threads = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &threads) != MPI_SUCCESS) {
    throw DistributedError(own_host() + ": MPI does not start");
  }
  constexpr double kTimeout = 600;
  return std::make_shared<MpiReplicas>(MPI_COMM_WORLD, kTimeout);
}

}  // namespace lora

#else

namespace lora {

std::shared_ptr<JoinedReplicas> join_over_mpi() {
  throw DistributedError(
      "this build of lora-train has no MPI; expected one that has: run scripts/setup --mpi, or start one process");
}

}  // namespace lora

#endif
