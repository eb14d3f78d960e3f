#include "lora/serving/serving_metrics.h"

#include <algorithm>
#include <sstream>

namespace lora {
namespace {

// The head of one metric.
std::string described(const std::string& name, const std::string& kind, const std::string& help) {
  return "# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n";
}

std::string single(const std::string& name, const std::string& kind, const std::string& help, int64_t value) {
  return described(name, kind, help) + name + " " + std::to_string(value) + "\n";
}

std::string number(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

}  // namespace

void DurationHistogram::add(double seconds) {
  ++counts_[static_cast<size_t>(std::ranges::lower_bound(kBounds, seconds) - kBounds.begin())];
  sum_ += seconds;
  ++count_;
}

std::string DurationHistogram::text(const std::string& name, const std::string& help) const {
  std::string lines = described(name, "histogram", help);
  int64_t below = 0;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    below += counts_[i];
    lines += name + "_bucket{le=\"" + number(kBounds[i]) + "\"} " + std::to_string(below) + "\n";
  }
  lines += name + "_bucket{le=\"+Inf\"} " + std::to_string(count_) + "\n";
  return lines + name + "_sum " + number(sum_) + "\n" + name + "_count " + std::to_string(count_) + "\n";
}

void ServingMetrics::count_request(const std::string& route, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  ++requests_[{route, status}];
  request_seconds_.add(seconds);
}

void ServingMetrics::count_answer(const std::string& model, int64_t tokens) {
  const std::lock_guard lock(mutex_);
  answer_tokens_[model] += tokens;
}

void ServingMetrics::count_first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  first_token_seconds_.add(seconds);
}

std::string ServingMetrics::text(const SchedulerCounts& counts) const {
  std::string lines =
      single("lora_answers_running", "gauge", "Answers being written.", counts.running) +
      single("lora_answers_waiting", "gauge", "Answers that wait for a place.", counts.waiting) +
      single("lora_answers_refused_total", "counter", "Refused since too many wait.", counts.refused) +
      single("lora_passes_total", "counter", "Passes through the model.", counts.passes) +
      single("lora_prompt_tokens_total", "counter", "Tokens of prompts.", counts.prompt_tokens) +
      single("lora_cached_prompt_tokens_total", "counter", "Of these, not read again.", counts.cached_tokens);
  const std::lock_guard lock(mutex_);
  lines += described("lora_answer_tokens_total", "counter", "Tokens of answers.");
  for (const auto& [model, tokens] : answer_tokens_) {
    lines += "lora_answer_tokens_total{model=\"" + model + "\"} " + std::to_string(tokens) + "\n";
  }
  lines += described("lora_requests_total", "counter", "Requests; status 0: the client left.");
  for (const auto& [key, count] : requests_) {
    lines += "lora_requests_total{route=\"" + key.first + "\",status=\"" + std::to_string(key.second) + "\"} " +
             std::to_string(count) + "\n";
  }
  return lines + request_seconds_.text("lora_request_seconds", "From a request's header to the end of its reply.") +
         first_token_seconds_.text("lora_first_token_seconds", "From a request to the first text of its answer.");
}

}  // namespace lora
