#pragma once
// How a number of a run went, in little memory however long the run is.

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace lora {

// Values by step, of which at most 800 points are kept: where there are more, each point stands for several values in a
// row.
class Curve {
 public:
  struct Point {
    double step;  // of the last value
    double sum, low, high;
    int64_t count;
    double mean() const { return sum / static_cast<double>(count); }
  };

  // A value that is not finite is counted and is no point.
  void add(double step, double value);

  const std::vector<Point>& points() const { return points_; }
  bool empty() const { return points_.empty(); }
  int64_t not_finite() const { return not_finite_; }
  // Of the values themselves. Not of an empty curve.
  double last() const { return last_; }
  double low() const { return low_; }
  double low_step() const { return low_step_; }
  double high() const { return high_; }

  // Means over a moving window of a few points, as many as there are points: what a noisy curve is about.
  std::vector<double> smoothed() const;

 private:
  std::vector<Point> points_;
  int64_t stride_ = 1, not_finite_ = 0;
  double last_ = 0, low_ = 0, low_step_ = 0, high_ = 0;
};

// The numbers of metrics.jsonl by their key there.
class Curves {
 public:
  // A row of metrics.jsonl. What is no number is not part of a curve; null stands for a number that is not finite.
  void add(const nlohmann::ordered_json& row);

  const std::map<std::string, Curve>& all() const { return curves_; }
  // Null where there is no value under that key.
  const Curve* find(const std::string& key) const;
  int64_t last_step() const { return last_step_; }

 private:
  std::map<std::string, Curve> curves_;
  int64_t last_step_ = 0;
};

}  // namespace lora
