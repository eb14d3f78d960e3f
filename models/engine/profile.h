#pragma once
// Where the time of a training step goes, by the kind of work. Costs nothing while nobody listens.

#include <array>
#include <chrono>
#include <cstdint>

namespace lora {

enum class Work { kProducts, kAdapters, kAttention, kLoss, kElementwise, kOptimizer, kData, kCount };

struct WorkTimes {
  std::array<double, static_cast<size_t>(Work::kCount)> seconds{};
  std::array<double, static_cast<size_t>(Work::kCount)> flops{};  // of the products done, where there are any
};

// Collects into `times` what this thread does while the object lives.
class ProfileTo {
 public:
  explicit ProfileTo(WorkTimes* times) : before_(current()) { current() = times; }
  ~ProfileTo() { current() = before_; }
  ProfileTo(const ProfileTo&) = delete;
  ProfileTo& operator=(const ProfileTo&) = delete;
  static WorkTimes*& current() {
    thread_local WorkTimes* times = nullptr;
    return times;
  }

 private:
  WorkTimes* before_;
};

// Counts the time until its end as one kind of work. Scopes do not nest.
class WorkScope {
 public:
  explicit WorkScope(Work work, double flops = 0) : times_(ProfileTo::current()), work_(static_cast<size_t>(work)) {
    if (!times_) return;
    times_->flops[work_] += flops;
    start_ = std::chrono::steady_clock::now();
  }
  ~WorkScope() {
    if (!times_) return;
    times_->seconds[work_] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  WorkScope(const WorkScope&) = delete;
  WorkScope& operator=(const WorkScope&) = delete;

 private:
  WorkTimes* times_;
  size_t work_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace lora
