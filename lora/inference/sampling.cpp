#include "lora/inference/sampling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace lora {
namespace {

using Scored = std::pair<float, int64_t>;

// Likeliest first; of equal ones, the first.
bool is_before(const Scored& a, const Scored& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

// The largest of many, by sixteen at a time, which the compiler makes vectors of; max_element it does not.
float largest_of(std::span<const float> logits) {
  std::array<float, 16> best;
  best.fill(-std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + best.size() <= logits.size(); i += best.size()) {
    for (size_t k = 0; k < best.size(); ++k) best[k] = logits[i + k] > best[k] ? logits[i + k] : best[k];
  }
  float largest = *std::ranges::max_element(best);
  for (; i < logits.size(); ++i) largest = std::max(largest, logits[i]);
  return largest;
}

// The first of the likeliest.
int64_t likeliest_id(std::span<const float> logits) {
  const auto found = std::ranges::find(logits, largest_of(logits));
  return found == logits.end() ? 0 : found - logits.begin();  // of no numbers, the first
}

double log_sum(std::span<const float> logits) {
  const double largest = largest_of(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

}  // namespace

Sampler::Sampler(const SamplingConfig& config, std::span<const int64_t> prompt, std::span<const int64_t> end_ids)
    : config_(config), random_(config.seed) {
  if (config_.json) json_.emplace(config_.json, end_ids);
  if (config_.repetition_penalty != 1) {
    for (const int64_t id : prompt) counts_.emplace(id, 0);
  }
}

bool Sampler::changes_logits() const {
  return config_.repetition_penalty != 1 || config_.frequency_penalty != 0 || config_.presence_penalty != 0 ||
         !config_.logit_bias.empty();
}

void Sampler::penalize(std::span<float> logits) const {
  const auto vocabulary = static_cast<int64_t>(logits.size());
  const auto repetition = static_cast<float>(config_.repetition_penalty);
  for (const auto& [id, count] : counts_) {
    if (id < 0 || id >= vocabulary) continue;
    float& logit = logits[static_cast<size_t>(id)];
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (count == 0) continue;
    logit -= static_cast<float>(config_.frequency_penalty * static_cast<double>(count) + config_.presence_penalty);
  }
  for (const auto& [id, bias] : config_.logit_bias) {
    if (id >= 0 && id < vocabulary) logits[static_cast<size_t>(id)] += static_cast<float>(bias);
  }
}

int64_t Sampler::next(std::span<const float> logits) {
  if (json_ || changes_logits()) {
    changed_.assign(logits.begin(), logits.end());
    penalize(changed_);
    if (json_) json_->mask(changed_);
    logits = changed_;
  }
  const int64_t id = config_.temperature > 0 && config_.top_k != 1 ? draw(logits) : likeliest_id(logits);
  ++counts_[id];
  if (json_) json_->take(id);
  return id;
}

int64_t Sampler::draw(std::span<const float> logits) {
  const double largest = largest_of(logits), temperature = config_.temperature;
  const auto weight = [&](float logit) { return std::exp((logit - largest) / temperature); };

  // What a cut certainly takes away is not sorted: all tokens less likely than (1 − top_p) / V are together less likely
  // than 1 − top_p.
  double least = config_.min_p;
  if (config_.top_p < 1 && config_.top_k == 0) {
    double sum = 0;
    for (const float logit : logits) sum += weight(logit);
    least = std::max(least, (1 - config_.top_p) / static_cast<double>(logits.size()) * sum);
  }
  kept_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isfinite(logits[i]) && weight(logits[i]) >= std::min(least, 1.0))
      kept_.emplace_back(logits[i], static_cast<int64_t>(i));
  }
  if (config_.top_k > 0 && config_.top_k < static_cast<int64_t>(kept_.size())) {
    const auto end = kept_.begin() + static_cast<std::ptrdiff_t>(config_.top_k);
    std::ranges::nth_element(kept_, end, is_before);
    kept_.erase(end, kept_.end());
  }
  if (config_.top_p < 1) {
    double all = 0, before = 0;
    if (config_.top_k > 0) {
      for (const Scored& one : kept_) all += weight(one.first);
    } else {
      for (const float logit : logits) all += weight(logit);
    }
    std::ranges::sort(kept_, is_before);
    size_t count = 0;
    for (; count < kept_.size() && (count == 0 || before < config_.top_p * all); ++count) {
      before += weight(kept_[count].first);
    }
    kept_.resize(count);
  } else {
    std::ranges::sort(kept_, {}, &Scored::second);  // the order of ids, whatever nth_element left
  }

  double sum = 0;
  for (const Scored& one : kept_) sum += weight(one.first);
  const double uniform = static_cast<double>(random_.next() >> 11) * 0x1p-53;  // [0, 1)
  double left = uniform * sum;
  for (const Scored& one : kept_) {
    left -= weight(one.first);
    if (left < 0) return one.second;
  }
  return kept_.back().second;  // rounding
}

double log_probability(std::span<const float> logits, int64_t id) {
  return logits[static_cast<size_t>(id)] - log_sum(logits);
}

std::vector<std::pair<int64_t, double>> likeliest(std::span<const float> logits, int64_t count) {
  std::vector<Scored> all;
  for (size_t i = 0; i < logits.size(); ++i) all.emplace_back(logits[i], static_cast<int64_t>(i));
  const auto end = all.begin() + std::min(count, static_cast<int64_t>(all.size()));
  std::ranges::partial_sort(all, end, is_before);
  const double sum = log_sum(logits);
  std::vector<std::pair<int64_t, double>> best;
  for (auto one = all.begin(); one != end; ++one) best.emplace_back(one->second, one->first - sum);
  return best;
}

}  // namespace lora
