#include "lora/report/curve.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace lora {

void Curve::add(double step, double value) {
  constexpr size_t kMost = 800;
  if (!std::isfinite(value)) {
    ++not_finite_;
    return;
  }
  if (points_.empty() || value < low_) low_ = value, low_step_ = step;
  high_ = points_.empty() ? value : std::max(high_, value);
  last_ = value;
  if (!points_.empty() && points_.back().count < stride_) {
    Point& point = points_.back();
    point = {step, point.sum + value, std::min(point.low, value), std::max(point.high, value), point.count + 1};
    return;
  }
  if (points_.size() == kMost) {
    for (size_t i = 0; i < kMost / 2; ++i) {
      const Point &a = points_[2 * i], &b = points_[2 * i + 1];
      points_[i] = {b.step, a.sum + b.sum, std::min(a.low, b.low), std::max(a.high, b.high), a.count + b.count};
    }
    points_.resize(kMost / 2);
    stride_ *= 2;
  }
  points_.push_back({step, value, value, value, 1});
}

std::vector<double> Curve::smoothed() const {
  const auto count = static_cast<int64_t>(points_.size()), half = count / 50;
  std::vector<double> means;
  for (int64_t i = 0; i < count; ++i) {
    // The same on both sides, so that the ends are not drawn towards the middle.
    const int64_t reach = std::min({half, i, count - 1 - i});
    double sum = 0;
    for (int64_t j = i - reach; j <= i + reach; ++j) sum += points_[static_cast<size_t>(j)].mean();
    means.push_back(sum / static_cast<double>(2 * reach + 1));
  }
  return means;
}

void Curves::add(const nlohmann::ordered_json& row) {
  const auto step = row.find("step");
  if (step == row.end() || !step->is_number()) return;
  last_step_ = std::max(last_step_, step->get<int64_t>());
  for (const auto& [key, value] : row.items()) {
    if (key == "step" || !(value.is_number() || value.is_null())) continue;
    curves_[key].add(step->get<double>(), value.is_null() ? std::nan("") : value.get<double>());
  }
}

const Curve* Curves::find(const std::string& key) const {
  const auto found = curves_.find(key);
  return found == curves_.end() || found->second.empty() ? nullptr : &found->second;
}

}  // namespace lora
