#pragma once
// What /metrics tells, in Prometheus' text format (version 0.0.4).

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "lora/serving/scheduler.h"

namespace lora {

// Durations in buckets. Not for several threads.
class DurationHistogram {
 public:
  void add(double seconds);
  // Lines of a histogram; `name` without a unit.
  std::string text(const std::string& name, const std::string& help) const;

 private:
  static constexpr std::array<double, 12> kBounds = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  std::array<int64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0;
  int64_t count_ = 0;
};

// Every function may be called from any thread.
class ServingMetrics {
 public:
  // `route`: one of the server's own, never the client's text. `status` 0: the client left.
  void count_request(const std::string& route, int status, double seconds);
  void count_answer(const std::string& model, int64_t tokens);
  void count_first_token(double seconds);
  std::string text(const SchedulerCounts& counts) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;
  std::map<std::string, int64_t> answer_tokens_;  // by model
  DurationHistogram request_seconds_, first_token_seconds_;
};

}  // namespace lora
